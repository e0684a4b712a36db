"""Adds to the emulated IAM the resource of a KMS call about an alias."""

from typing import Any


def alias_call_resource(operation: str, members: dict[str, Any], region_and_account: str) -> str | None:
    """Return the ARN that a call about an alias needs a permission on; None for any other call."""
    if operation == "CreateAlias":  # AWS checks the permission on the key and on the alias
        return f"arn:aws:kms:{region_and_account}:key/{members['TargetKeyId'].rpartition('/')[2]}"
    if operation == "DeleteAlias":
        return f"arn:aws:kms:{region_and_account}:{members['AliasName']}"
    return None
