"""`make dashboard-picture`: draw the dashboard of a stage on the emulated AWS into docs/dashboard.svg.

It deploys its own stage to a temporary folder, sends the requests of half an hour, and removes the stage.
"""

import logging
import sys
import tempfile
from pathlib import Path

from processes import ROOT

from emulator.stack import CannotDeploy, Stack
from picture.dashboard import read_dashboard
from picture.drawing import draw
from picture.requests import MINUTES, send_requests

PICTURE = ROOT / "docs" / "dashboard.svg"
# Low caps, so that one chart shows both the caps and the load. These are the lowest ones that the events may have.
SETTINGS = {"alarms": "{}", "request_caps": "{events={read=65,write=257},tokens={read=20,write=20}}"}

log = logging.getLogger("emulator")


def main() -> None:
    """Deploy a stage, send requests to it, and draw its dashboard."""
    logging.basicConfig(format="%(message)s ...")
    log.setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder))
        try:
            stack.settings.update(SETTINGS)
            stack.copy_project()
            stack.package()
            stack.aws.start()
            stack.deploy()
            log.info("Sending the requests of %s minutes", MINUTES)
            start = send_requests(stack)
            widgets = read_dashboard(stack, start, start + MINUTES * 60)
        except CannotDeploy as exc:
            sys.exit(f"make dashboard-picture: {exc}")
        finally:
            stack.aws.stop()
    PICTURE.write_text(draw(widgets), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)} is drawn. These have no data:")
    for widget in widgets:
        print(f"  {widget.title}: {', '.join(line.label for line in widget.lines if not line.values) or 'none'}")


if __name__ == "__main__":
    main()
