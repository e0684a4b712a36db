"""Corrects the emulated CloudWatch Logs: the key of a log group can change."""

import json
from typing import Any

from .responses import Response, error_response, json_response, operation_of, service


def accept_new_keys() -> None:
    """Accept AssociateKmsKey and DisassociateKmsKey; ministack sets a key only when it creates the group."""
    # pylint: disable=protected-access  # ministack's own state is changed
    logs, kms = service("cloudwatch_logs"), service("kms")
    handle_other = logs.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        if operation_of(headers) not in ("AssociateKmsKey", "DisassociateKmsKey"):
            return await handle_other(method, path, headers, body, query)
        members = json.loads(body)
        group = logs._log_groups.get(members["logGroupName"])
        key = members.get("kmsKeyId")
        if group is None or (key and not kms._resolve_key(key)):
            missing = "key" if group else "log group"
            return error_response("ResourceNotFoundException", f"There is no {missing} of this name.", 400)
        group["kmsKeyId"] = key
        return json_response({})

    logs.handle_request = handle_request
