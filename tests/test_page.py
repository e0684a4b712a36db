"""The page /docs of `make run`, and the same page as files. A browser opens both, as wide as a desktop and a phone."""

import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import NEEDS_BROWSER, Browser, chromedriver
from processes import LocalProcess
from targets import UrlApi

from local import page

SIZES = [pytest.param((1280, 900, False), id="desktop"), pytest.param((390, 844, True), id="phone")]
HEADING = "[...document.querySelectorAll('h1')].find(e => e.innerText.includes('Event API'))"
TEST_REQUEST = "[...document.querySelectorAll('button')].find(e => /Test Request/.test(e.innerText))"
SEND = "[...document.querySelectorAll('button')].find(e => /^Send/.test(e.innerText.trim()) && e.offsetWidth)"
NO_SCROLLING = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(name="local_process", scope="module")
def _local_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProcess]:
    """Start an API of its own: in the shared one, other tests may have stored another event with the example's id."""
    with LocalProcess(tmp_path_factory.mktemp("page")) as running:
        yield running


def test_page_is_for_its_own_origin_only(local_process: LocalProcess) -> None:
    """Other sites cannot read, embed or frame the page, and it loads nothing from elsewhere."""
    response = local_process.api.request("GET", "/docs", headers={"Origin": "https://evil.example"})
    assert response.status == 200
    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-store"
    rules = dict(rule.split(" ", 1) for rule in response.headers["content-security-policy"].split("; "))
    assert {"default-src", "base-uri", "form-action", "frame-ancestors"} == {k for k in rules if rules[k] == "'none'"}
    assert {rules[name] for name in ("script-src", "connect-src")} == {"'self'"}
    assert not re.search(r"https?:", response.headers["content-security-policy"])


def test_page_has_no_other_host_name(local_process: LocalProcess) -> None:
    """A name that somebody else's DNS points at this machine does not get the page."""
    for path in ("/docs", "/docs/openapi.json"):
        response = local_process.api.request("GET", path, headers={"Host": f"evil.example:{local_process.port}"})
        assert response.status == 421
        assert local_process.token not in response.body.decode()


def test_nobody_gets_the_token_from_the_page(local_process: LocalProcess) -> None:
    """Every user of this machine can load the page. Only the person who started `make run` sees the token."""
    for path in ("/docs", "/docs/openapi.json", "/docs/start.js"):
        assert local_process.token not in local_process.api.request("GET", path).body.decode()


def test_page_is_there_without_a_token_and_only_to_read(local_process: LocalProcess) -> None:
    """A browser opens the page without a token. The page's paths support GET and HEAD only."""
    anybody = UrlApi(local_process.url)
    for path in ("/docs", "/docs?x=1", "/docs/openapi.json", "/docs/start.js", "/docs/scalar.js"):
        response, head = anybody.request("GET", path), anybody.request("HEAD", path)
        assert (response.status, head.status, head.body) == (200, 200, b"")
        assert head.headers["content-length"] == response.headers["content-length"] == str(len(response.body)) != "0"
    for path in ("/docs/", "/docs/index.html", "/docs/../token", "/docs/%2e%2e/token"):
        assert anybody.request("GET", path).status in (401, 404)
    for method in ("POST", "DELETE"):
        assert anybody.request(method, "/docs").status in (401, 404)


def test_page_describes_this_server(local_process: LocalProcess) -> None:
    """The document's only server is the one that serves it, whatever its port."""
    document = local_process.api.request("GET", "/docs/openapi.json").json
    assert document.pop("servers") == [{"url": local_process.url}]
    committed = json.loads(page.DOCUMENT.read_text())
    committed.pop("servers")
    assert document == committed


def test_greeting_names_the_page(local_process: LocalProcess) -> None:
    """`make run` prints the page's address, with the token."""
    assert f"{local_process.url}/docs#{local_process.token} describes the API" in local_process.output


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the page as files."""
    folder = tmp_path_factory.mktemp("site")
    page.write_site(folder)
    return folder


def test_site_has_no_token_and_no_local_address(site: Path) -> None:
    """The published page sends nothing: it has no token, no button to send, and no address of a developer's machine."""
    html = (site / "index.html").read_text()
    assert '"sends": false' in html
    assert f'content="{page.POLICY}"' in html
    document = json.loads((site / "openapi.json").read_text())
    assert [server["description"] for server in document["servers"]] == ["A deployed stage"]
    assert {path.name for path in site.iterdir()} == {"index.html", "openapi.json", "scalar.js", "start.js"}


@pytest.fixture(scope="module", name="driver")
def _driver() -> Iterator[int]:
    """Return the port of a running chromedriver."""
    with chromedriver() as port:
        yield port


@pytest.fixture(name="browser", params=SIZES)
def _browser(request: pytest.FixtureRequest, driver: int) -> Iterator[Browser]:
    """Return a browser window of each size."""
    browser = Browser(driver, *request.param)
    yield browser
    browser.close()


def assert_no_error(browser: Browser, origin: str) -> None:
    """Assert that the console has no warning and no error, and that the page has requested nothing elsewhere."""
    assert [line for line in browser.console() if not line.startswith("INFO")] == []
    assert [url for url in browser.requested() if not url.startswith((f"{origin}/", "data:", "about:"))] == []


@NEEDS_BROWSER
def test_page_sends_an_event(local_process: LocalProcess, browser: Browser) -> None:
    """The page shows the API. A click sends the example with the local token, and the response is the stored event."""
    browser.open(f"{local_process.url}/docs#{local_process.token}")
    assert browser.waits_for(HEADING) and browser.waits_for(TEST_REQUEST)
    assert local_process.token not in str(browser.run("return location.href"))
    assert browser.run(f"return {NO_SCROLLING}")
    browser.click(TEST_REQUEST)
    assert browser.waits_for(SEND)
    is_stored = local_process.api.request("GET", "/events/order-1001").status == 200  # by the test of the other size
    browser.click(SEND)
    assert browser.waits_for(f"document.body.innerText.includes('{'200 OK' if is_stored else '201 Created'}')")
    assert local_process.api.request("GET", "/events/order-1001").status == 200
    assert_no_error(browser, local_process.url)


@NEEDS_BROWSER
def test_site_shows_the_api(site: Path, browser: Browser) -> None:
    """The published page shows the API from any web server, and has no button to send a request."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            origin = f"http://127.0.0.1:{server.server_address[1]}"
            browser.open(f"{origin}/#evt_a_b")
            assert browser.waits_for(HEADING)
            assert browser.waits_for("document.body.innerText.includes('/events/{id}')")
            assert browser.run(f"return {NO_SCROLLING}")
            assert not browser.run(f"return Boolean({TEST_REQUEST})")
            assert_no_error(browser, origin)
        finally:
            server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin  # its name there
        """Log nothing."""
