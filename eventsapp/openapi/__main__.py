"""Write docs/openapi.json from the code: `make openapi`."""

import json
from pathlib import Path

from openapi.document import ROOT, document

TARGET: Path = ROOT / "docs" / "openapi.json"


def text() -> str:
    """Return the document as the file has it."""
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
    print(f"make openapi: wrote {TARGET.relative_to(ROOT)}.")
