"""Moves a stage back to the versions before its last release: `make rollback` runs this.

It moves the aliases itself, at once. CodeDeploy refuses to deploy before an alarm has ended.
"""

import sys

from aws_calls import Call, CallFailed, calls_of
from traffic import Function, Release, ReleaseFailed, Report, functions_of, stage_names


def roll_back(call: Call, stage: str, report: Report, name: str | None = None) -> dict[str, Release]:
    """Roll back the last release, or the release `name` if it is live. Return it, by the function's name.

    A running release is stopped first. Raises ReleaseFailed if there is no earlier version.
    """
    functions = functions_of(call, stage, report)
    found = [(function.name, stop(function, report)) for function in functions]
    stopped = {function: release for function, release in found if release}
    found = [(function.name, function.arrival()) for function in functions]
    live = {function: release for function, release in found if release}
    if not name:
        names = [release.name for release in (stopped or live).values()]
        if not names:
            raise ReleaseFailed("there is no earlier version: the first versions of the functions are live")
        name = max(names)
    releases = {key: release for key, release in (live | stopped).items() if release.name == name}
    for function in functions:
        if release := releases.get(function.name):
            function.move(release.before)
            report(f"{function.name}: all traffic goes to version {release.before} again, not to {release.after}")
    if not releases:
        report(f"The release {name} is not live: nothing to roll back.")
    return releases


def stop(function: Function, report: Report) -> Release | None:
    """Stop a function's running deployment. Return its release; None if nothing runs, or it belongs to no release."""
    running = function.running()
    if running is None:
        return None
    report(f"{function.name}: stopping the deployment {running}")
    function.stop(running)
    return function.release_of(running)


def main(stage: str, name: str = "") -> None:
    """Roll back a stage, and say what the next deployment will do."""
    if stage not in stage_names():
        sys.exit(f"make rollback: there is no stage {stage}; the stages are {', '.join(stage_names())}.")
    try:
        releases = roll_back(calls_of(stage), stage, print, name or None)
    except (CallFailed, ReleaseFailed) as exc:
        sys.exit(f"make rollback: {exc}.")
    if releases:
        print(
            f"The release {next(iter(releases.values())).name} of {stage} is rolled back. The next deployment shifts "
            "to the newest version again: correct or revert the commit before you push."
        )


if __name__ == "__main__":
    main(*sys.argv[1:3])
