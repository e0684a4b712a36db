"""The journal: the write calls that the embedded AWS applied, one per line and in the same order.

An entry is in the file before the embedded AWS responds, so it survives `kill -9`. It is not synced to the disk: a
power failure can lose the last seconds.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from local.settings import CannotRun


class Call(NamedTuple):
    """A call of DynamoDB: its HTTP headers, by lower-case names, and its body."""

    headers: dict[bytes, bytes]
    body: bytes


class Journal:
    """The journal in a folder. Only one process at a time can open it."""

    def __init__(self, data_dir: Path) -> None:
        """Create the folder and the file if they do not exist. Raises CannotRun while another process uses them."""
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = data_dir / "journal.jsonl"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._end = self._last_start = os.fstat(self._file).st_size  # offsets of the end and of the last entry
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            os.close(self._file)
            raise CannotRun(f"another `make run` uses {data_dir}: stop it first.") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def calls(self) -> Iterator[tuple[int, Call]]:
        """Yield the calls with their offsets. Raises CannotRun at a damaged line.

        A last line without its end is cut off: its process died during the write, before any response.
        """
        offset = 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                try:
                    call = _decode(line)
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
                    raise self.damaged(offset) from exc
                yield offset, call
                offset += len(line)
        self.truncate(offset)

    def damaged(self, offset: int) -> CannotRun:
        """Return the error for an entry that cannot be replayed."""
        return CannotRun(f"{self._path} cannot be replayed at byte {offset}: move it away to start without its events.")

    def append(self, call: Call) -> None:
        """Write a call. Raises OSError if that fails, for example on a full disk, or after the file's removal.

        A part of the line may be in the file then. The next append removes it, or the next start.
        """
        line = _encode(call)
        if not os.path.samestat(os.fstat(self._file), os.stat(self._path)):
            raise OSError("another file is in its place")
        os.ftruncate(self._file, self._end)
        if os.write(self._file, line) != len(line):
            raise OSError("the file system took only a part of the entry")
        self._last_start, self._end = self._end, self._end + len(line)

    def remove_last(self) -> None:
        """Remove the call that was appended last: it changed nothing."""
        self.truncate(self._last_start)

    def truncate(self, offset: int) -> None:
        """Remove everything from an offset on."""
        self._end = offset
        os.ftruncate(self._file, offset)


def _encode(call: Call) -> bytes:
    headers = {name.decode(): value.decode("latin-1") for name, value in call.headers.items()}
    return json.dumps({"headers": headers, "body": call.body.decode(errors="surrogateescape")}).encode() + b"\n"


def _decode(line: bytes) -> Call:
    entry = json.loads(line)
    headers = {name.encode(): value.encode("latin-1") for name, value in entry["headers"].items()}
    return Call(headers, entry["body"].encode(errors="surrogateescape"))
