"""The page that shows the API's description and sends requests: /docs of `make run`, and a site without sending.

The page has the local token only in a browser that opened it with the token behind #: every user of this machine can
load its files. Only the page's own origin can use it: it has no CORS headers, and no other site can frame or embed it.
It loads nothing from other hosts.
"""

import json
import string
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from local import settings

PATH = "/docs"
FILES = Path(__file__).parent / "page_files"
DOCUMENT = settings.APP_DIR.parent / "docs" / "openapi.json"
SCALAR = ("flask-openapi-scalar", "flask_openapi_scalar/templates/scalar/js/scalar.standalone.js")

# Scalar writes its styles into the page. Scripts and requests are limited to this server.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def response(method: str, path: str, url: str) -> dict[str, Any] | None:
    """Return the response to a request for the page or its files at a URL of this server; None for other requests."""
    if method not in ("GET", "HEAD"):
        return None
    path = path.partition("?")[0]
    if path == PATH:
        return file("text/html; charset=utf-8", index(PATH, "", sends=True))
    if path == f"{PATH}/openapi.json":
        document = {**json.loads(DOCUMENT.read_text("utf-8")), "servers": [{"url": url}]}
        return file("application/json", json.dumps(document))
    if path == f"{PATH}/start.js":
        return file("text/javascript; charset=utf-8", (FILES / "start.js").read_text("utf-8"))
    if path == f"{PATH}/scalar.js":
        return file("text/javascript; charset=utf-8", scalar())
    return None


def file(media_type: str, body: str) -> dict[str, Any]:
    """Return the response with a file, in the form of Lambda's proxy integration. The server drops a HEAD's body."""
    headers = {"Content-Type": media_type, **HEADERS}
    return {"statusCode": 200, "headers": headers, "multiValueHeaders": {}, "body": body}


def index(base: str, policy: str, sends: bool) -> str:
    """Return the page's HTML. `sends`: whether the page can send requests."""
    values = json.dumps({"document": f"{base}/openapi.json", "sends": sends})
    template = string.Template((FILES / "index.html").read_text("utf-8"))
    return template.substitute(base=base, policy=policy, settings=values)


def scalar() -> str:
    """Return Scalar's script. eventsapp/local/requirements.txt pins its package."""
    package, name = SCALAR
    return Path(str(distribution(package).locate_file(name))).read_text("utf-8")


def write_site(folder: Path) -> None:
    """Write the page as files for any web server. It has no token, sends nothing and names no local address."""
    folder.mkdir(parents=True, exist_ok=True)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    document = json.loads(DOCUMENT.read_text("utf-8"))
    document["servers"] = [server for server in document["servers"] if settings.HOST not in server["url"]]
    (folder / "index.html").write_text(index(".", policy, sends=False), "utf-8")
    (folder / "openapi.json").write_text(json.dumps(document, indent=2, ensure_ascii=False), "utf-8")
    (folder / "start.js").write_text((FILES / "start.js").read_text("utf-8"), "utf-8")
    (folder / "scalar.js").write_text(scalar(), "utf-8")
