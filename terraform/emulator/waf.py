"""Corrects the emulated WAF: it stores a firewall's own response bodies and its log settings.

Neither has an effect here: the emulated firewall blocks no request and writes no log.
"""

import json
from typing import Any

from .responses import Response, error_response, json_response, operation_of, service

LOG_OPERATIONS = ("PutLoggingConfiguration", "GetLoggingConfiguration", "DeleteLoggingConfiguration")


def store_bodies_and_log_settings() -> None:
    """Store the parts that ministack would drop."""
    waf = service("waf")
    handle_other, create_record = waf.handle_request, waf.create_web_acl_record
    log_settings: dict[str | None, dict[str, Any]] = {}

    def create_web_acl_record(name: str, scope: str, members: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        uid, arn, record = create_record(name, scope, members)
        record["CustomResponseBodies"] = members.get("CustomResponseBodies", {})
        return uid, arn, record

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        operation = operation_of(headers)
        if operation not in LOG_OPERATIONS:
            return await handle_other(method, path, headers, body, query)
        members = json.loads(body)
        arn = firewall_arn(members)
        if operation == "PutLoggingConfiguration":
            log_settings[arn] = members["LoggingConfiguration"]
        if arn not in log_settings:
            return error_response("WAFNonexistentItemException", "The firewall has no log.", 400)
        response = json_response({"LoggingConfiguration": log_settings[arn]})
        if operation == "DeleteLoggingConfiguration":
            del log_settings[arn]
        return response

    waf.handle_request, waf.create_web_acl_record = handle_request, create_web_acl_record


def firewall_arn(members: dict[str, Any]) -> str | None:
    """Return the ARN of the firewall that a call names."""
    arns = [members.get(name) for name in ("WebACLArn", "ResourceARN", "ResourceArn")]
    arns.append(members.get("LoggingConfiguration", {}).get("ResourceArn"))
    return next((arn for arn in arns if arn and ":wafv2:" in arn), None)


def call_resource(members: dict[str, Any]) -> str | None:
    """Return the ARN that a call needs a permission on: a firewall, or the stage that it protects."""
    return firewall_arn(members) or members.get("ResourceArn")
