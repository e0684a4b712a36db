"""Functions that the corrections of ministack share: its modules, and responses in the form of AWS's services."""

import json
from importlib import import_module
from types import ModuleType
from typing import Any

Response = tuple[int, dict[str, str], bytes]


def service(name: str) -> ModuleType:
    """Return ministack's module of a service."""
    return import_module(f"ministack.services.{name}")


def operation_of(headers: dict[str, str]) -> str:
    """Return the operation that a request to a JSON service names in its X-Amz-Target header."""
    return headers.get("x-amz-target", "").rpartition(".")[2]


def json_response(members: dict[str, Any]) -> Response:
    """Return a response of a JSON service."""
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(members).encode()


def error_response(code: str, message: str, status: int) -> Response:
    """Return an error response in the form of AWS's services."""
    headers = {"Content-Type": "application/json", "x-amzn-errortype": code}
    return status, headers, json.dumps({"message": message, "__type": code}).encode()
