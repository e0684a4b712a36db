"""Adds to the emulated AWS Backup the lock of a vault, which ministack leaves out. Its backups have no content."""

import json
import re
from typing import Any

from .responses import Response, error_response, service

LOCK_PATH = re.compile("/backup-vaults/([^/]+)/vault-lock/?")


def lock_vaults() -> None:
    """Store and remove a vault's lock."""
    # pylint: disable=protected-access  # ministack's own state is changed
    backup = service("backup")
    handle_other = backup.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Response:
        lock = LOCK_PATH.fullmatch(path)
        if lock is None:
            return await handle_other(method, path, headers, body, query)
        vault = backup._vaults.get(lock[1])
        if vault is None:
            return error_response("ResourceNotFoundException", "There is no vault of this name.", 400)
        members = json.loads(body or b"{}")
        vault.update({name: members.get(name) for name in ("MinRetentionDays", "MaxRetentionDays")})
        vault["Locked"] = method == "PUT"
        return 200, {"Content-Type": "application/json"}, b"{}"

    backup.handle_request = handle_request
