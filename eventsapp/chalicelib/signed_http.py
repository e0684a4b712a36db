"""Sends signed HTTP requests to one AWS service. The environment has the credentials, the region and the endpoint.

botocore signs the requests and speaks HTTP. Its client is not used: it reads 400 folders and a megabyte of service
descriptions first, which takes most of a cold start.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import botocore
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.utils import get_environ_proxies

from chalicelib.timed_http import TimedSession

MAX_CONNECTIONS = 256  # that stay open; more threads than this open connections and close them again
USER_AGENT = f"event-api Botocore/{botocore.__version__}"  # CloudTrail shows it


class Misconfigured(Exception):
    """Raised when the environment does not say how to reach AWS. The message names the variable to set."""


class BytesRequest(AWSRequest):
    """A request whose body is bytes. botocore's class copies the whole request to return its body."""

    @property
    def body(self) -> bytes:
        """Return the body."""
        return self.data


class Response(NamedTuple):
    """An HTTP response. The names of its headers are not case-sensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class SignedHttp:
    """Keeps connections to one AWS service and sends signed POST requests. Threads can share it."""

    def __init__(self, service: str, connect_timeout: float, read_timeout: float) -> None:
        """Timeouts are in seconds. Touches no network. Raises Misconfigured."""
        self._service = service
        self._region = region()
        self._url = f"{endpoint(service).rstrip('/')}/"
        # botocore would take the host from the URL for each request, twice.
        self._host = urlsplit(self._url).netloc.rpartition("@")[2]
        self._session = TimedSession(
            verify=os.environ.get("AWS_CA_BUNDLE") or True,
            proxies=get_environ_proxies(self._url),
            timeout=(connect_timeout, read_timeout),
            max_pool_connections=MAX_CONNECTIONS,
        )

    def post(self, headers: dict[str, str], body: bytes, deadline: float) -> Response:
        """Sign and send a request. Return its response, which is complete before the deadline (monotonic seconds).

        Raises Misconfigured, and botocore's HTTPClientError and ConnectionError.
        """
        headers = {"Host": self._host, "User-Agent": USER_AGENT, **headers}
        request = BytesRequest("POST", self._url, headers, body)
        SigV4Auth(credentials(), self._service, self._region).add_auth(request)
        # request.prepare() would return the same, and copy the headers into a slower kind of dict.
        signed = AWSPreparedRequest("POST", self._url, dict(request.headers.items()), body, stream_output=False)
        response = self._session.send_until(deadline, signed)
        return Response(response.status_code, response.headers, response.content)


class Credentials(NamedTuple):
    """The credentials that SigV4Auth signs with."""

    access_key: str
    secret_key: str
    token: str | None


def credentials() -> Credentials:
    """Return the environment's credentials. Raises Misconfigured.

    Each request reads them again, so the next request uses changed credentials.
    """
    try:
        access_key, secret_key = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    except KeyError as exc:
        raise Misconfigured(f"{exc.args[0]} is not set: set AWS credentials in the environment") from exc
    return Credentials(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN"))


def region() -> str:
    """Return the region. Raises Misconfigured."""
    name = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    if not name:
        raise Misconfigured("AWS_DEFAULT_REGION is not set: set it to the region of the tables")
    return name


def endpoint(service: str) -> str:
    """Return the URL of a service, by the variables and rules of botocore's client. Raises Misconfigured."""
    configured = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")
    if configured and not is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return configured
    name = region()
    if name.startswith(("cn-", "us-iso", "eu-iso", "eusc-")):
        raise Misconfigured(f"the region {name} has its own domain: set AWS_ENDPOINT_URL_{service.upper()}")
    fips = "-fips" if is_true("AWS_USE_FIPS_ENDPOINT") else ""
    domain = "api.aws" if is_true("AWS_USE_DUALSTACK_ENDPOINT") else "amazonaws.com"
    return f"https://{service}{fips}.{name}.{domain}"


def is_true(variable: str) -> bool:
    """Tell whether an environment variable is `true`, as AWS's tools read it."""
    return os.environ.get(variable, "").lower() == "true"
