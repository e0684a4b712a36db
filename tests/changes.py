"""What another chalice might write: its output with one part changed."""

import copy
from typing import Any, NamedTuple

Json = dict[str, Any]
REMOVED = object()


class Change(NamedTuple):
    """A change of one part, the step that refuses it, and words of the step's error."""

    step: str
    path: tuple[str, ...]
    value: Any
    error: str

    def __str__(self) -> str:
        return f"{self.step}-{'.'.join(self.path[-2:])}"


def changed(document: Json, change: Change) -> Json:
    """Return a copy of a document with one part changed."""
    document = copy.deepcopy(document)
    parent = document
    for name in change.path[:-1]:
        parent = parent.setdefault(name, {})
    if change.value is REMOVED:
        del parent[change.path[-1]]
    else:
        parent[change.path[-1]] = change.value
    return document
