"""Edits of chalice's JSON. Each one first checks that chalice wrote what the edit expects."""

import json
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Step = Callable[[Json], None]


class Unexpected(Exception):
    """Raised when chalice's output differs from what a step expects."""

    remedy = "did you change app.py, config.json or chalice's version? See what chalice writes, and correct the step"


class WrongApp(Unexpected):
    """Raised when app.py declares what must not be deployed."""

    remedy = "correct app.py"


def find(document: Json, *path: str) -> Any:
    """Return the part of a document at a path. Raises Unexpected if there is none."""
    part: Any = document
    for depth, name in enumerate(path):
        if not isinstance(part, dict) or name not in part:
            parent = display_name(path[:depth]) if depth else "the file"
            found = f"only {', '.join(sorted(part))}" if part and isinstance(part, dict) else "no parts"
            raise Unexpected(f"expected {display_name(path)}, but {parent} has {found}")
        part = part[name]
    return part


def require(document: Json, *path: str, was: Any) -> None:
    """Raise Unexpected unless the part at a path has this value."""
    found = find(document, *path)
    if found != was:
        raise Unexpected(f"expected {display_name(path)} to be {json.dumps(was)}, but it is {json.dumps(found)}")


def remove(document: Json, *path: str, was: Any) -> None:
    """Remove the part at a path, and its parents if they are empty then. Raises Unexpected for another value."""
    require(document, *path, was=was)
    for depth in reversed(range(len(path))):
        parent = find(document, *path[:depth])
        del parent[path[depth]]
        if parent:
            return


def add(document: Json, *path: str, to: Any) -> None:
    """Add a part that chalice does not write. Raises Unexpected if chalice writes it."""
    parent = find(document, *path[:-1])
    if path[-1] in parent:
        raise Unexpected(f"expected no {display_name(path)}, but chalice writes it: {json.dumps(parent[path[-1]])}")
    parent[path[-1]] = to


def replace(document: Json, *path: str, was: Any, to: Any) -> None:
    """Change the part at a path. Raises Unexpected for another value."""
    require(document, *path, was=was)
    find(document, *path[:-1])[path[-1]] = to


def display_name(path: tuple[str, ...]) -> str:
    """Return the name of a part, as Terraform's users write it."""
    if path[0] in ("resource", "data") and len(path) > 2:
        kind, address, rest = path[0], ".".join(path[1:3]), path[3:]
        return f"{'.'.join(rest)} of {kind} {address}" if rest else f"{kind} {address}"
    return ".".join(path)
