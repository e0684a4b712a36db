"""Corrects the emulated API Gateway: Swagger import, patches of single binary media types, flush of authorizers' cache.

ministack checks the caller's permission before it calls its module, so also before it calls this one.
"""

import json
import re
from typing import Any

from .responses import Response, error_response, service
from .swagger_import import NotEmulated, SwaggerImport


def add_missing_operations() -> None:
    """Handle PutRestApi, FlushStageAuthorizersCache, and the patches of an API that ministack misreads."""
    gateway = service("apigateway_v1")
    handle_other = gateway.handle_request

    async def call(method: str, path: str, members: Any = None) -> dict[str, Any]:
        """Make a call that ministack knows. Raises NotEmulated when it fails."""
        body = b"" if members is None else json.dumps(members).encode()
        status, _, response = await handle_other(method, path, {}, body, {})
        if status >= 400:
            raise NotEmulated(f"{method} {path}: the response was {status} {response!r}")
        return json.loads(response) if response else {}

    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        api = re.fullmatch(r"/restapis/([^/]+)/?", path)
        if api and method == "PUT":
            try:
                await SwaggerImport(api[1], call).run(json.loads(body), query)
            except NotEmulated as exc:
                return error_response("BadRequestException", f"The emulated AWS does not know {exc}.", 400)
            return await handle_other("GET", path, headers, b"", {})
        if api and method == "PATCH":
            media_types = (await call("GET", f"/restapis/{api[1]}")).get("binaryMediaTypes") or []
            body = json.dumps(merge_media_types(media_types, json.loads(body))).encode()
        if method == "DELETE" and re.fullmatch(r"/restapis/[^/]+/stages/[^/]+/cache/authorizers", path):
            gateway._authorizer_cache.clear()  # pylint: disable=protected-access  # ministack's own state is changed
            return 202, {}, b""
        return await handle_other(method, path, headers, body, query)

    gateway.handle_request = handle_request


def merge_media_types(media_types: list[str], patch: dict[str, Any]) -> dict[str, Any]:
    """Return a patch that replaces all binary media types at once; ministack takes the path of one for an object's."""
    operations, media_types = [], list(media_types)
    for operation in patch.get("patchOperations", []):
        member, _, media_type = operation["path"].removeprefix("/").partition("/")
        if member != "binaryMediaTypes" or not media_type:
            operations.append(operation)
            continue
        media_type = media_type.replace("~1", "/").replace("~0", "~")  # RFC 6901
        media_types = [other for other in media_types if other != media_type]
        if operation["op"] == "add":
            media_types.append(media_type)
    operations.append({"op": "replace", "path": "/binaryMediaTypes", "value": media_types})
    return {"patchOperations": operations}
