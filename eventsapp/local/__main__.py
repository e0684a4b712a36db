"""Start the API on this machine. Without arguments: everything (`make run`). With `api`: the API's own process."""

# pylint: disable=wrong-import-position  # Ctrl-C during the imports must end the process without a traceback
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # Python puts this folder there, not its parent

if __name__ == "__main__":
    # Each process imports only its own part: the API's process does not load the embedded AWS.
    importlib.import_module("local.server" if sys.argv[1:] == ["api"] else "local.supervisor").main()
