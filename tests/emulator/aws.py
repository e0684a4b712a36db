"""The emulated AWS: ministack with IAM enforced, and what it lacks of that which a deployment of the API meets.

`aws.py FOLDER` serves it on a free port of 127.0.0.1, says where in FOLDER/aws.json, and keeps all its files in FOLDER.
It ends on SIGTERM, and at the end of a pipe that is its standard input. Test equipment; what it does not know, it
refuses.
"""

import asyncio
import json
import os
import re
import signal
import socket
import stat
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

HOST = "127.0.0.1"
ACCOUNT = "123456789012"

Answer = tuple[int, dict[str, str], bytes]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

FUNCTIONS = re.compile("/2015-03-31/functions/?")

_serving_api: ContextVar[bool] = ContextVar("serving_api", default=False)


def main() -> None:
    """Serve until told to stop."""
    folder = Path(sys.argv[1]).resolve()
    asyncio.run(serve(folder))


async def serve(folder: Path) -> None:
    """Serve the emulated AWS; its address is in the folder's aws.json as soon as it answers."""
    listener = socket.create_server((HOST, 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    port = listener.getsockname()[1]
    prepare_environment(folder, port)
    aws = Aws()
    from hypercorn.asyncio import serve as serve_asgi  # pylint: disable=import-outside-toplevel  # after ministack
    from hypercorn.config import Config  # pylint: disable=import-outside-toplevel  # after ministack

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stop.set)), daemon=True).start()
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.loglevel = "WARNING"
    config.keep_alive_timeout = 75
    here = folder / "aws.json"
    here.with_suffix(".new").write_text(json.dumps({"endpoint": f"http://{HOST}:{port}", "pid": os.getpid()}))
    here.with_suffix(".new").rename(here)
    await serve_asgi(aws, config, shutdown_trigger=stop.wait)
    import_module("ministack.core.lambda_runtime").reset()  # ends the functions' processes, and waits for their end


def prepare_environment(folder: Path, port: int) -> None:
    """Set what ministack reads at its import, and what the functions inherit: nothing of this machine's."""
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update({
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "S3_DATA_DIR": str(scratch / "s3"),
        "STATE_DIR": str(scratch / "state"),
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "AUTH": "true",
        "LOG_LEVEL": "WARNING",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": "unix:///nonexistent",  # ministack would remove containers that it takes for its own
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    })


class Aws:
    """The ASGI app: ministack's, corrected."""

    def __init__(self) -> None:
        self._app = import_module("ministack.app")
        self._correct_app()
        RestApis(service("apigateway_v1"))
        Functions(service("lambda_svc"), service("apigateway_v1"))
        require_oidc_provider(service("sts"), service("iam"))
        encrypt_log_groups()
        keep_firewalls_whole()
        say_what_policies_ask()

    def _correct_app(self) -> None:
        decompress = self._app._decompress_request_body  # pylint: disable=protected-access  # ministack's

        def decompress_for_aws(body: bytes, headers: dict[str, str]) -> bytes:
            return body if _serving_api.get() else decompress(body, headers)

        # AWS's own services take compressed bodies; an API's stage hands on what it got.
        self._app._decompress_request_body = decompress_for_aws  # pylint: disable=protected-access  # ministack's

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an ASGI request."""
        served = re.match(r"/_aws/execute-api/[^/]+(?=/)", scope.get("path", ""))
        if scope["type"] != "lifespan":  # the address stands for AWS's, which policies may want called by TLS alone
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        if served is None:
            await self._app.app(scope, receive, send)
            return

        async def send_from_api(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    # A path is the API's own, on a host of its own at AWS and below a path here.
                    (name, served[0].encode() + value if name.lower() == b"location" and value[:1] == b"/" else value)
                    for name, value in message["headers"]
                ]
            await send(message)

        _serving_api.set(True)
        # ministack parts a path after decoding it, API Gateway before.
        path = unquote(re.sub(b"%2[Ff]", b"%252F", scope["raw_path"]).decode("ascii"))
        await self._app.app({**scope, "path": path}, receive, send_from_api)


def service(name: str) -> ModuleType:
    """Return ministack's module of a service."""
    return import_module(f"ministack.services.{name}")


def require_oidc_provider(sts: ModuleType, iam: ModuleType) -> None:
    """Let a web identity in only where the account has its provider, for that audience, as AWS does."""
    # pylint: disable=protected-access  # ministack's
    denied_by_trust = sts._web_identity_trust_denied

    def denied(role_arn: str, params: dict[str, Any], use_json: bool) -> Answer | None:
        provider, claims = sts._web_identity_principal(params["WebIdentityToken"][0], None, role_arn)
        audience = next((value for name, value in claims.items() if name.endswith(":aud")), None)
        if audience not in iam._oidc_providers.get(provider, {}).get("ClientIDList", []):
            message = f"No OpenIDConnect provider {provider} for {audience}"
            return sts._error(400, "InvalidIdentityToken", message, ns="sts")
        return denied_by_trust(role_arn, params, use_json)

    sts._web_identity_trust_denied = denied


def say_what_policies_ask() -> None:
    """Tell the evaluation of policies what AWS tells it: a call's resource, a role's boundary, an API's tags."""
    # pylint: disable=protected-access  # ministack's
    actions, tagging = import_module("ministack.core.iam_actions"), service("tagging")
    resource_of, context_of, tags_of = actions.extract_resource_arn, actions.request_tag_context, tagging.resource_tags
    action_of = actions.extract_iam_action

    def extract_iam_action(name: str, method: str, path: str, *request: Any) -> str | None:
        if name == "lambda" and re.search("/functions/[^/]+/aliases/[^/]+$", path):
            return f"lambda:{ {'GET': 'Get', 'PUT': 'Update', 'DELETE': 'Delete'}[method] }Alias"
        return action_of(name, method, path, *request)

    def extract_resource_arn(name: str, method: str, path: str, *request: Any) -> str:
        headers, body, _, *where = request
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if name in ("kms", "wafv2"):
            return key_or_firewall(name, operation, json.loads(body), ":".join(where)) or resource_of(
                name, method, path, *request
            )
        if name == "dynamodb" and operation in ("TagResource", "UntagResource", "ListTagsOfResource"):
            return json.loads(body)["ResourceArn"]
        if name == "logs" and operation == "DescribeLogGroups":
            return f"arn:aws:logs:{':'.join(where)}:log-group::log-stream:"
        if name == "lambda" and method == "POST" and FUNCTIONS.fullmatch(path):
            return f"arn:aws:lambda:{':'.join(where)}:function:{json.loads(body)['FunctionName']}"
        return resource_of(name, method, path, *request)

    def request_tag_context(name: str, action: str, body: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        context = context_of(name, action, body, parameters)
        if name == "apigateway" and action in ("apigateway:POST", "apigateway:PUT"):
            tags = (json.loads(body or b"{}") or {}).get("tags") or {}
            context.update({f"aws:RequestTag/{key}": value for key, value in tags.items()})
        if action == "lambda:AddPermission":
            context["lambda:Principal"] = json.loads(body)["Principal"]
        if name == "iam" and "RoleName" in parameters:
            role = service("iam")._roles.get(parameters["RoleName"][0], {})
            asked = parameters.get("PermissionsBoundary")
            boundary = asked[0] if asked else role.get("PermissionsBoundary")
            if boundary:
                context["iam:PermissionsBoundary"] = boundary
        return context

    def resource_tags(arn: str) -> dict[str, str] | None:
        api = re.match(r"arn:aws:apigateway:[^:]*::/restapis/[^/]+", arn)
        return service("apigateway_v1")._v1_tags.get(api[0]) if api else tags_of(arn)

    actions.extract_resource_arn, actions.request_tag_context = extract_resource_arn, request_tag_context
    actions.extract_iam_action, tagging.resource_tags = extract_iam_action, resource_tags


def key_or_firewall(name: str, operation: str, members: dict[str, Any], where: str) -> str | None:
    """Return the ARN that a call of KMS or WAF is about, where ministack does not see it."""
    if name == "wafv2":
        return firewall_of(members) or members.get("ResourceArn")
    if operation == "CreateAlias":  # AWS asks for it on the alias too
        return f"arn:aws:kms:{where}:key/{members['TargetKeyId'].rpartition('/')[2]}"
    if operation == "DeleteAlias":
        return f"arn:aws:kms:{where}:{members['AliasName']}"
    return None


def firewall_of(members: dict[str, Any]) -> str | None:
    """Return the ARN of the firewall that a call of WAF is about, where it names one as a whole."""
    arns = [members.get(name) for name in ("WebACLArn", "ResourceARN", "ResourceArn")]
    arns.append(members.get("LoggingConfiguration", {}).get("ResourceArn"))
    return next((arn for arn in arns if arn and ":wafv2:" in arn), None)


def encrypt_log_groups() -> None:
    """Let a log group be given a key, or be without one again, as ministack lets it only when it is made."""
    logs, keys = service("cloudwatch_logs"), service("kms")
    handle = logs.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation not in ("AssociateKmsKey", "DisassociateKmsKey"):
            return await handle(method, path, headers, body, query)
        asked = json.loads(body)
        group = logs._log_groups.get(asked["logGroupName"])  # pylint: disable=protected-access  # ministack's
        key = asked.get("kmsKeyId")
        known = keys._resolve_key(key) if key else True  # pylint: disable=protected-access  # ministack's
        if group is None or not known:
            missing = "key" if group else "log group"
            return refusal("ResourceNotFoundException", f"There is no {missing} of this name.", 400)
        group["kmsKeyId"] = key
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, b"{}"

    logs.handle_request = handle_request


def keep_firewalls_whole() -> None:
    """Keep what a firewall answers, and what its log is told to be; nothing here is refused by one, or logged."""
    waf = service("waf")
    handle, configurations, create = waf.handle_request, {}, waf.create_web_acl_record

    def create_web_acl_record(name: str, scope: str, members: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        uid, arn, record = create(name, scope, members)
        record["CustomResponseBodies"] = members.get("CustomResponseBodies", {})
        return uid, arn, record

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation not in ("PutLoggingConfiguration", "GetLoggingConfiguration", "DeleteLoggingConfiguration"):
            return await handle(method, path, headers, body, query)
        asked = json.loads(body)
        arn = firewall_of(asked)
        if operation == "PutLoggingConfiguration":
            configurations[arn] = asked["LoggingConfiguration"]
        if arn not in configurations:
            return refusal("WAFNonexistentItemException", "The firewall has no log.", 400)
        answer = {"LoggingConfiguration": configurations[arn]}
        if operation == "DeleteLoggingConfiguration":
            del configurations[arn]
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode()

    waf.handle_request, waf.create_web_acl_record = handle_request, create_web_acl_record


class NotEmulated(Exception):
    """Raised when a caller asks for what the emulator does not know."""


def refusal(code: str, message: str, status: int) -> Answer:
    """Return an error in the form of AWS's REST services."""
    headers = {"Content-Type": "application/json", "x-amzn-errortype": code}
    return status, headers, json.dumps({"message": message, "__type": code}).encode()


class RestApis:
    """API Gateway's control plane, with the import of a Swagger document (PutRestApi) and binary media types.

    ministack has checked the caller's permission before it asks its module, so also before it asks this.
    """

    KNOWN = {"swagger", "info", "schemes", "paths", "definitions", "securityDefinitions", "security"}
    EXTENSION = "x-amazon-apigateway-"
    OF_TLS = {"security-policy", "endpoint-access-mode"}  # there is no TLS here

    def __init__(self, module: ModuleType) -> None:
        self._handle = module.handle_request
        module.handle_request = self.handle_request

    async def handle_request(self, method: str, path: str, *request: Any) -> Answer:
        """Answer what ministack does not, and leave it the rest."""
        headers, body, query = request
        api = re.fullmatch(r"/restapis/([^/]+)/?", path)
        if api and method == "PUT":
            try:
                await self.put_rest_api(api[1], json.loads(body), query)
            except NotEmulated as exc:
                return refusal("BadRequestException", f"tests/emulator/aws.py: {exc}", 400)
            return await self._handle("GET", path, headers, b"", {})
        if api and method == "PATCH":
            body = await self._patch_media_types(api[1], json.loads(body))
        return await self._handle(method, path, headers, body, query)

    async def _patch_media_types(self, api_id: str, patch: dict[str, Any]) -> bytes:
        """Make one replacement of the patches of single binary media types, which ministack takes for objects."""
        others, types = [], list((await self._call("GET", f"/restapis/{api_id}")).get("binaryMediaTypes") or [])
        for operation in patch.get("patchOperations", []):
            place, _, media_type = operation["path"].removeprefix("/").partition("/")
            if place != "binaryMediaTypes" or not media_type:
                others.append(operation)
                continue
            media_type = media_type.replace("~1", "/").replace("~0", "~")
            types = [kept for kept in types if kept != media_type]
            if operation["op"] == "add":
                types.append(media_type)
        others.append({"op": "replace", "path": "/binaryMediaTypes", "value": types})
        return json.dumps({"patchOperations": others}).encode()

    async def _call(self, method: str, path: str, data: Any = None) -> dict[str, Any]:
        body = b"" if data is None else json.dumps(data).encode()
        status, _, answer = await self._handle(method, path, {}, body, {})
        if status >= 400:
            raise NotEmulated(f"{method} {path} was answered {status}: {answer!r}")
        return json.loads(answer) if answer else {}

    async def put_rest_api(self, api_id: str, document: dict[str, Any], query: dict[str, Any]) -> None:
        """Make an API what a Swagger document says, by API Gateway's own calls. Raises NotEmulated."""
        if query.get("mode") not in (["overwrite"], "overwrite"):
            raise NotEmulated(f"an import with mode {query.get('mode')}; only overwrite is known")
        others = set(document) - self.KNOWN
        extensions = {key.removeprefix(self.EXTENSION): document[key] for key in others}
        await self._call("GET", f"/restapis/{api_id}")
        await self._clear(api_id)
        await self._set_media_types(api_id, extensions.pop("binary-media-types", []))
        for name, schema in document.get("definitions", {}).items():
            await self._call("POST", f"/restapis/{api_id}/models", self._model(api_id, name, schema))
        for kind, response in extensions.pop("gateway-responses", {}).items():
            if unknown := set(response) - {"statusCode", "responseParameters", "responseTemplates"}:
                raise NotEmulated(f"the keys {sorted(unknown)} of the gateway response {kind}")
            await self._call("PUT", f"/restapis/{api_id}/gatewayresponses/{kind}", response)
        validators = {}
        for name, checks in extensions.pop("request-validators", {}).items():
            made = await self._call("POST", f"/restapis/{api_id}/requestvalidators", {"name": name, **checks})
            validators[name] = made["id"]
        defaults = {
            "validators": validators,
            "validator": extensions.pop("request-validator", None),
            "security": document.get("security", []),
            "schemes": await self._create_authorizers(api_id, document.get("securityDefinitions", {})),
        }
        if unknown := set(extensions) - self.OF_TLS:
            raise NotEmulated(f"{sorted(unknown)} of a Swagger document")
        await self._create_methods(api_id, document["paths"], defaults)

    async def _create_methods(self, api_id: str, paths: dict[str, Any], defaults: dict[str, Any]) -> None:
        made = (await self._call("GET", f"/restapis/{api_id}/resources"))["item"]
        resources = {resource["path"]: resource["id"] for resource in made}
        for path, item in paths.items():
            resource_id = await self._create_resource(api_id, path.rstrip("/") or "/", resources)
            shared = item.get("parameters", [])
            for verb, operation in item.items():
                if verb == "parameters":
                    continue
                verb = "ANY" if verb == f"{self.EXTENSION}any-method" else verb.upper()
                place = f"/restapis/{api_id}/resources/{resource_id}/methods/{verb}"
                await self._create_method(place, operation, shared, defaults)

    async def _clear(self, api_id: str) -> None:
        base = f"/restapis/{api_id}"
        for resource in (await self._call("GET", f"{base}/resources"))["item"]:
            if resource["path"] != "/":
                await self._call("DELETE", f"{base}/resources/{resource['id']}")
            for verb in resource.get("resourceMethods") or {} if resource["path"] == "/" else {}:
                await self._call("DELETE", f"{base}/resources/{resource['id']}/methods/{verb}")
        for kind, key in (("models", "name"), ("requestvalidators", "id"), ("authorizers", "id")):
            for made in (await self._call("GET", f"{base}/{kind}")).get("item") or []:
                await self._call("DELETE", f"{base}/{kind}/{made[key]}")
        for response in (await self._call("GET", f"{base}/gatewayresponses"))["item"]:
            if not response["defaultResponse"]:
                await self._call("DELETE", f"{base}/gatewayresponses/{response['responseType']}")

    async def _set_media_types(self, api_id: str, media_types: list[str]) -> None:
        operation = {"op": "replace", "path": "/binaryMediaTypes", "value": media_types}
        await self._call("PATCH", f"/restapis/{api_id}", {"patchOperations": [operation]})

    @staticmethod
    def _model(api_id: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        address = f"https://apigateway.amazonaws.com/restapis/{api_id}/models/"
        text = json.dumps(schema).replace('"#/definitions/', f'"{address}')
        return {"name": name, "contentType": "application/json", "schema": text}

    async def _create_authorizers(self, api_id: str, schemes: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Create an authorizer for each security definition; return what each means for a method."""
        meaning: dict[str, dict[str, Any]] = {}
        for name, scheme in schemes.items():
            authorizer = dict(scheme.get(f"{self.EXTENSION}authorizer") or {})
            auth_type = scheme.get(f"{self.EXTENSION}authtype", "")
            kind = authorizer.pop("type", "").lower()
            if scheme["type"] == "apiKey" and not authorizer and scheme["name"].lower() == "x-api-key":
                meaning[name] = {"apiKeyRequired": True}
            elif auth_type == "awsSigv4":
                meaning[name] = {"authorizationType": "AWS_IAM"}
            elif kind in ("token", "request", "cognito_user_pools"):
                source = authorizer.pop("identitySource", f"method.request.header.{scheme['name']}")
                made = await self._call("POST", f"/restapis/{api_id}/authorizers", {
                    "name": name, "type": kind.upper(), "authType": auth_type, "identitySource": source, **authorizer,
                })
                authorization = "COGNITO_USER_POOLS" if kind == "cognito_user_pools" else "CUSTOM"
                meaning[name] = {"authorizationType": authorization, "authorizerId": made["id"]}
            else:
                raise NotEmulated(f"the security definition {name}")
        return meaning

    async def _create_resource(self, api_id: str, path: str, resources: dict[str, str]) -> str:
        if path not in resources:
            parent, _, part = path.rpartition("/")
            parent_id = await self._create_resource(api_id, parent or "/", resources)
            made = await self._call("POST", f"/restapis/{api_id}/resources/{parent_id}", {"pathPart": part})
            resources[path] = made["id"]
        return resources[path]

    async def _create_method(  # pylint: disable=too-many-locals  # a name for each member of the description
        self, place: str, operation: dict[str, Any], shared: list[dict[str, Any]], defaults: dict[str, Any]
    ) -> None:
        method: dict[str, Any] = {"authorizationType": "NONE", "requestParameters": {}, "requestModels": {}}
        for requirement in operation.get("security", defaults["security"]):
            for name, scopes in requirement.items():
                method.update(defaults["schemes"][name])
                if scopes:
                    method["authorizationScopes"] = scopes
        if validator := operation.get(f"{self.EXTENSION}request-validator", defaults["validator"]):
            method["requestValidatorId"] = defaults["validators"][validator]
        # "$default" is a model for any media type; ministack's only such key is JSON's.
        media_types = [t.replace("$default", "application/json") for t in operation.get("consumes") or ["$default"]]
        for parameter in [*shared, *operation.get("parameters", [])]:
            if parameter["in"] == "body":
                name = parameter["schema"]["$ref"].removeprefix("#/definitions/")
                method["requestModels"] = dict.fromkeys(media_types, name)
            else:
                name = f"method.request.{parameter['in'].replace('query', 'querystring')}.{parameter['name']}"
                method["requestParameters"][name] = parameter.get("required", False)
        await self._call("PUT", place, method)
        for status, response in operation.get("responses", {}).items():
            await self._create_response(f"{place}/responses/{status}", response)
        await self._create_integration(f"{place}/integration", dict(operation[f"{self.EXTENSION}integration"]))

    async def _create_response(self, place: str, response: dict[str, Any]) -> None:
        headers = {f"method.response.header.{name}": False for name in response.get("headers", {})}
        models = {}
        if "$ref" in response.get("schema", {}):
            models = {"application/json": response["schema"]["$ref"].removeprefix("#/definitions/")}
        await self._call("PUT", place, {"responseParameters": headers, "responseModels": models})

    async def _create_integration(self, place: str, integration: dict[str, Any]) -> None:
        responses = integration.pop("responses", {})
        for name in ("type", "passthroughBehavior"):
            if name in integration:
                integration[name] = integration[name].upper()
        await self._call("PUT", place, integration)
        for pattern, response in responses.items():
            status = response["statusCode"]
            chosen = {} if pattern == "default" else {"selectionPattern": pattern}
            await self._call("PUT", f"{place}/responses/{status}", {**response, **chosen})


class Functions:
    """Lambda, with three checks that AWS makes and ministack doesn't.

    A caller who gives a function a role needs iam:PassRole on it; API Gateway needs the function's permission to
    invoke it; and a function without permission to write its log has none.
    """

    def __init__(self, functions: ModuleType, rest_apis: ModuleType) -> None:
        # pylint: disable=protected-access  # where ministack makes the calls that AWS would check
        self._evaluator = import_module("ministack.core.iam_evaluator")
        self._responses = import_module("ministack.core.responses")
        self._functions = functions
        self._handle, functions.handle_request = functions.handle_request, self.handle_request
        self._emit_logs, functions._emit_lambda_logs = functions._emit_lambda_logs, self.emit_logs
        self._invoke, rest_apis._call_lambda_raw = rest_apis._call_lambda_raw, self.invoke_from_gateway
        self._ask, rest_apis._invoke_authorizer_lambda = rest_apis._invoke_authorizer_lambda, self.ask_authorizer

    async def handle_request(self, method: str, path: str, *request: Any) -> Answer:
        """Refuse to create or configure a function with a role that the caller may not pass."""
        headers, body, query = request
        creates = method == "POST" and FUNCTIONS.fullmatch(path)
        configures = method == "PUT" and re.fullmatch(r"/2015-03-31/functions/[^/]+/configuration/?", path)
        role = json.loads(body).get("Role") if (creates or configures) and body else None
        if role:
            router = import_module("ministack.core.router")
            account = self._responses.get_account_id()
            caller = self._evaluator.resolve_principal(router.extract_access_key_id(headers, query), account)
            passed_to = {"iam:passedtoservice": "lambda.amazonaws.com"}
            if not self._allows(caller, "iam:PassRole", role, passed_to):
                message = f"User: {caller.arn} is not authorized to perform: iam:PassRole on resource: {role}"
                return refusal("AccessDeniedException", message, 403)
        return await self._handle(method, path, headers, body, query)

    def _allows(self, caller: Any, action: str, resource: str, context: dict[str, str] | None = None) -> bool:
        if caller.policies is None:  # the account's root
            return True
        asked = self._evaluator.EvalContext(
            principal_arn=caller.arn, principal_type=caller.type, principal_account=caller.account, action=action,
            resource_arn=resource, region=self._responses.get_region(), service_context=context or {},
            principal_keys=caller.keys,
        )
        return self._evaluator.evaluate(asked, caller.policies, *caller.limits).decision == "Allow"

    def emit_logs(self, func: dict[str, Any], *arguments: Any, **named: Any) -> None:
        """Write a function's log if its role may."""
        config = func.get("config") or func
        account, region = config["FunctionArn"].split(":")[4], config["FunctionArn"].split(":")[3]
        group = f"/aws/lambda/{config['FunctionName']}"
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or group
        arn = f"arn:aws:logs:{region}:{account}:log-group:{group}"
        key = import_module("ministack.core.lambda_runtime").execution_credentials(config)["AWS_ACCESS_KEY_ID"]
        role = self._evaluator.resolve_principal(key, account)
        needed = [("logs:CreateLogStream", f"{arn}:log-stream:new"), ("logs:PutLogEvents", f"{arn}:log-stream:new")]
        if group not in service("cloudwatch_logs")._log_groups:  # pylint: disable=protected-access  # ministack's
            needed.append(("logs:CreateLogGroup", arn))
        if all(self._allows(role, action, resource) for action, resource in needed):
            self._emit_logs(func, *arguments, **named)

    async def invoke_from_gateway(
        self, function: str, event: dict[str, Any], *, account_id: str, region: str
    ) -> tuple[dict[str, Any] | None, str | None]:
        """Invoke a function for a stage if the function, or the alias that is named, lets API Gateway do so."""
        request = event["requestContext"]
        method = f"{request['stage']}/{event['httpMethod']}{request['resourcePath']}"
        source = f"arn:aws:execute-api:{region}:{account_id}:{request['apiId']}/{method}"
        if not self._lets_in(function, source):
            return None, f"Invalid permissions on Lambda function: {function} does not let {source} invoke it"
        result, error = await self._invoke(function, event, account_id=account_id, region=region)
        if result and (result.get("throttle") or result.get("error")):
            return None, "The function was throttled or failed."  # ministack would show the caller Lambda's own error
        return result, error

    async def ask_authorizer(
        self, authorizer: dict[str, Any], event: dict[str, Any], account_id: str, region: str
    ) -> dict[str, Any] | None:
        """Invoke an authorizer's function if the alias lets API Gateway do so: None is what a caller sees as a 500."""
        api = event["methodArn"].split(":")[5].partition("/")[0]
        source = f"arn:aws:execute-api:{region}:{account_id}:{api}/authorizers/{authorizer['id']}"
        function = authorizer["authorizerUri"].partition("/functions/")[2].removesuffix("/invocations")
        if not self._lets_in(function, source):
            return None
        return await self._ask(authorizer, event, account_id, region)

    def _lets_in(self, function: str, source: str) -> bool:
        """Tell whether the policy of a function, or of the alias that is named, lets a source of API Gateway's call."""
        account_id, region = source.split(":")[4], source.split(":")[3]
        policy = (self._functions.function_policy_for_arn(function) or ({},))[0]
        asked = self._evaluator.EvalContext(
            principal_arn="", principal_type="Service", principal_account=account_id, action="lambda:InvokeFunction",
            resource_arn=function, region=region,
            service_context={"aws:sourcearn": source, "aws:sourceaccount": account_id},
        )
        verdict = self._evaluator.evaluate_resource_policy(policy, asked, service="apigateway.amazonaws.com")
        return verdict.decision == "Allow"


if __name__ == "__main__":
    main()
