"""Imports a Swagger document into an API of the emulated API Gateway, with API Gateway's own calls."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

EXTENSION = "x-amazon-apigateway-"
KNOWN_KEYS = {"swagger", "info", "schemes", "paths", "definitions", "securityDefinitions", "security"}
TLS_EXTENSIONS = {"security-policy", "endpoint-access-mode"}  # without effect: the emulated AWS has no TLS
GATEWAY_RESPONSE_KEYS = {"statusCode", "responseParameters", "responseTemplates"}

Call = Callable[..., Awaitable[dict[str, Any]]]


class NotEmulated(Exception):
    """Raised when a document or request has something that the emulated API Gateway does not know; names it."""


class Defaults(NamedTuple):
    """The settings of each method that does not set its own."""

    validator: str | None
    security: list[dict[str, list[str]]]


class SwaggerImport:
    """One import of a document into an API. Nothing in it is ignored: an unknown part raises NotEmulated."""

    def __init__(self, api_id: str, call: Call) -> None:
        self._api = f"/restapis/{api_id}"
        self._call = call
        self._resource_ids: dict[str, str] = {}
        self._validator_ids: dict[str, str] = {}
        self._schemes: dict[str, dict[str, Any]] = {}

    async def run(self, document: dict[str, Any], query: dict[str, Any]) -> None:
        """Replace the whole content of the API with the document. Raises NotEmulated."""
        if query.get("mode") not in (["overwrite"], "overwrite"):
            raise NotEmulated(f"an import with mode {query.get('mode')}; use overwrite")
        extensions = {key.removeprefix(EXTENSION): document[key] for key in set(document) - KNOWN_KEYS}
        await self._call("GET", self._api)
        await self._clear()
        media_types = extensions.pop("binary-media-types", [])
        replacement = {"op": "replace", "path": "/binaryMediaTypes", "value": media_types}
        await self._call("PATCH", self._api, {"patchOperations": [replacement]})
        for name, schema in document.get("definitions", {}).items():
            await self._create_model(name, schema)
        for kind, response in extensions.pop("gateway-responses", {}).items():
            if unknown := set(response) - GATEWAY_RESPONSE_KEYS:
                raise NotEmulated(f"the keys {sorted(unknown)} of the gateway response {kind}")
            await self._call("PUT", f"{self._api}/gatewayresponses/{kind}", response)
        for name, checks in extensions.pop("request-validators", {}).items():
            created = await self._call("POST", f"{self._api}/requestvalidators", {"name": name, **checks})
            self._validator_ids[name] = created["id"]
        for name, scheme in document.get("securityDefinitions", {}).items():
            self._schemes[name] = await self._create_scheme(name, scheme)
        defaults = Defaults(extensions.pop("request-validator", None), document.get("security", []))
        if unknown := set(extensions) - TLS_EXTENSIONS:
            raise NotEmulated(f"{sorted(unknown)} of a Swagger document")
        await self._create_methods(document["paths"], defaults)

    async def _clear(self) -> None:
        for resource in (await self._call("GET", f"{self._api}/resources"))["item"]:
            if resource["path"] != "/":
                await self._call("DELETE", f"{self._api}/resources/{resource['id']}")
            for verb in resource.get("resourceMethods") or {} if resource["path"] == "/" else {}:
                await self._call("DELETE", f"{self._api}/resources/{resource['id']}/methods/{verb}")
        for kind, key in (("models", "name"), ("requestvalidators", "id"), ("authorizers", "id")):
            for existing in (await self._call("GET", f"{self._api}/{kind}")).get("item") or []:
                await self._call("DELETE", f"{self._api}/{kind}/{existing[key]}")
        for response in (await self._call("GET", f"{self._api}/gatewayresponses"))["item"]:
            if not response["defaultResponse"]:
                await self._call("DELETE", f"{self._api}/gatewayresponses/{response['responseType']}")

    async def _create_model(self, name: str, schema: dict[str, Any]) -> None:
        models = f"https://apigateway.amazonaws.com{self._api}/models/"
        text = json.dumps(schema).replace('"#/definitions/', f'"{models}')
        model = {"name": name, "contentType": "application/json", "schema": text}
        await self._call("POST", f"{self._api}/models", model)

    async def _create_scheme(self, name: str, scheme: dict[str, Any]) -> dict[str, Any]:
        """Create the authorizer of a security definition; return the settings of a method that requires it."""
        authorizer = dict(scheme.get(f"{EXTENSION}authorizer") or {})
        auth_type = scheme.get(f"{EXTENSION}authtype", "")
        kind = authorizer.pop("type", "").lower()
        if scheme["type"] == "apiKey" and not authorizer and scheme["name"].lower() == "x-api-key":
            return {"apiKeyRequired": True}
        if auth_type == "awsSigv4":
            return {"authorizationType": "AWS_IAM"}
        if kind not in ("token", "request", "cognito_user_pools"):
            raise NotEmulated(f"the security definition {name}")
        source = authorizer.pop("identitySource", f"method.request.header.{scheme['name']}")
        created = await self._call("POST", f"{self._api}/authorizers", {
            "name": name, "type": kind.upper(), "authType": auth_type, "identitySource": source, **authorizer,
        })  # fmt: skip
        authorization = "COGNITO_USER_POOLS" if kind == "cognito_user_pools" else "CUSTOM"
        return {"authorizationType": authorization, "authorizerId": created["id"]}

    async def _create_methods(self, paths: dict[str, Any], defaults: Defaults) -> None:
        existing = (await self._call("GET", f"{self._api}/resources"))["item"]
        self._resource_ids = {resource["path"]: resource["id"] for resource in existing}
        for path, item in paths.items():
            resource_id = await self._create_resource(path.rstrip("/") or "/")
            shared_parameters = item.get("parameters", [])
            for verb, operation in item.items():
                if verb == "parameters":
                    continue
                verb = "ANY" if verb == f"{EXTENSION}any-method" else verb.upper()
                parameters = [*shared_parameters, *operation.get("parameters", [])]
                url = f"{self._api}/resources/{resource_id}/methods/{verb}"
                await self._create_method(url, operation, parameters, defaults)

    async def _create_resource(self, path: str) -> str:
        if path not in self._resource_ids:
            parent, _, last = path.rpartition("/")
            parent_id = await self._create_resource(parent or "/")
            created = await self._call("POST", f"{self._api}/resources/{parent_id}", {"pathPart": last})
            self._resource_ids[path] = created["id"]
        return self._resource_ids[path]

    async def _create_method(
        self, url: str, operation: dict[str, Any], parameters: list[dict[str, Any]], defaults: Defaults
    ) -> None:
        method: dict[str, Any] = {"authorizationType": "NONE", "requestParameters": {}, "requestModels": {}}
        for requirement in operation.get("security", defaults.security):
            for name, scopes in requirement.items():
                method.update(self._schemes[name])
                if scopes:
                    method["authorizationScopes"] = scopes
        if validator := operation.get(f"{EXTENSION}request-validator", defaults.validator):
            method["requestValidatorId"] = self._validator_ids[validator]
        # "$default" is a model for any media type; ministack's only key of that meaning is application/json.
        media_types = [t.replace("$default", "application/json") for t in operation.get("consumes") or ["$default"]]
        for parameter in parameters:
            if parameter["in"] == "body":
                model = parameter["schema"]["$ref"].removeprefix("#/definitions/")
                method["requestModels"] = dict.fromkeys(media_types, model)
            else:
                name = f"method.request.{parameter['in'].replace('query', 'querystring')}.{parameter['name']}"
                method["requestParameters"][name] = parameter.get("required", False)
        await self._call("PUT", url, method)
        for status, response in operation.get("responses", {}).items():
            await self._create_response(f"{url}/responses/{status}", response)
        await self._create_integration(f"{url}/integration", dict(operation[f"{EXTENSION}integration"]))

    async def _create_response(self, url: str, response: dict[str, Any]) -> None:
        headers = {f"method.response.header.{name}": False for name in response.get("headers", {})}
        models = {}
        if "$ref" in response.get("schema", {}):
            models = {"application/json": response["schema"]["$ref"].removeprefix("#/definitions/")}
        await self._call("PUT", url, {"responseParameters": headers, "responseModels": models})

    async def _create_integration(self, url: str, integration: dict[str, Any]) -> None:
        responses = integration.pop("responses", {})
        for name in ("type", "passthroughBehavior"):
            if name in integration:
                integration[name] = integration[name].upper()
        await self._call("PUT", url, integration)
        for pattern, response in responses.items():
            selection = {} if pattern == "default" else {"selectionPattern": pattern}
            await self._call("PUT", f"{url}/responses/{response['statusCode']}", {**response, **selection})
