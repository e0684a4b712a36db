"""Builds the package of all stages: `make release` runs this. Each stage has the same zip.

The zip does not depend on the stage. This packages each stage, and compares the zips byte for byte.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from merge.__main__ import write
from merge.document import Unexpected
from package import ROOT, package_app
from use_release import RELEASE, SUMS, ZIP, description_of
from wheels import PackageError


def build(app: Path, release: Path) -> str:
    """Package all stages of an app into a folder. Return the SHA-256 of its checksums. Raises PackageError."""
    shutil.rmtree(release, ignore_errors=True)
    stages = sorted(json.loads((app / ".chalice" / "config.json").read_text())["stages"])
    release.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=release.parent, prefix="release-") as folder:
        complete, zips = Path(folder) / "complete", set()
        complete.mkdir()
        for stage in stages:
            packaged = package_app(app, stage, Path(folder) / stage)
            write(packaged, complete)
            (complete / "chalice.tf.json").rename(complete / description_of(stage))
            zips.add((complete / ZIP).read_bytes())
        if len(zips) > 1:
            raise PackageError("the zip differs between stages: give all stages in config.json the same files.")
        totals = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(complete.iterdir())}
        sums = "".join(f"{total}  {name}\n" for name, total in totals.items())
        (complete / SUMS).write_text(sums, encoding="ascii")
        complete.rename(release)
    return hashlib.sha256((release / SUMS).read_bytes()).hexdigest()


def main() -> None:
    """Build the release and print its digest. On an error, print one sentence and leave no earlier release."""
    try:
        digest = build(ROOT / "eventsapp", RELEASE)
    except PackageError as exc:
        sys.exit(f"make release: {exc}")
    except Unexpected as exc:
        sys.exit(f"make release: {exc}: {exc.remedy}.")
    except KeyboardInterrupt:
        sys.exit("make release: interrupted; nothing was packaged.")
    print((RELEASE / SUMS).read_text(encoding="ascii"), end="", file=sys.stderr)
    print(digest)


if __name__ == "__main__":
    main()
