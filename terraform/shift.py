"""Shifts a stage's traffic to the newest versions of its functions: `make shift` runs this after `make apply`.

CodeDeploy moves the aliases, and moves them back if an alarm fires. The name of the release goes to standard output,
and everything else to standard error. It needs no packages: the job that deploys a stage installs none.
"""

import sys
from datetime import UTC, datetime

from aws_calls import Call, CallFailed, calls_of
from traffic import Ended, Function, Release, ReleaseFailed, Report, functions_of, moves, stage_names


def shift(call: Call, stage: str, report: Report, with_alarms: bool = True) -> str | None:
    """Release the newest versions. Return the release's name; None if they are live already.

    Raises ReleaseFailed if a function was rolled back. Then all functions have their previous versions.
    """
    functions = functions_of(call, stage, report)
    for function in functions:
        if running := function.running():
            report(f"{function.name}: the deployment {running} is still running; waiting for its end")
            function.wait(running)
    releases = planned(functions, datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    if not releases:
        report(f"The newest versions of {stage} are live already: nothing to shift.")
        return None
    faults = run(functions, releases, report, with_alarms)
    if not faults:
        report(f"The release is complete: {moves(releases)}.")
        return next(iter(releases.values())).name
    take_back(functions, releases, report)
    versions = ", ".join(f"{name} {release.before}" for name, release in releases.items())
    raise ReleaseFailed(
        f"the release was rolled back, and the versions before are live: {versions}. The reason: {'; '.join(faults)}. "
        "The next deployment shifts to the newest version again, so correct or revert the commit first"
    )


def planned(functions: list[Function], name: str) -> dict[str, Release]:
    """Return the release of each function whose alias is not at the newest version, by the function's name."""
    found = {}
    for function in functions:
        before, after = function.alias().version, str(max(function.versions()))
        if before != after:
            found[function.name] = Release(name, before, after)
    return found


def run(functions: list[Function], releases: dict[str, Release], report: Report, with_alarms: bool) -> list[str]:
    """Start all deployments, and wait for their end. Return what went wrong."""
    started: list[tuple[Function, str]] = []
    faults: list[str] = []
    for function in functions:
        if release := releases.get(function.name):
            try:
                started.append((function, function.start(release, with_alarms)))
            except CallFailed as exc:
                faults.append(f"{function.name}: {exc}")
                break
            report(f"{function.name}: shifting from version {release.before} to {release.after} ({started[-1][1]})")
    ended: list[tuple[str, Ended]] = [(function.name, function.wait(name)) for function, name in started]
    return faults + [f"{name}: {end.fault}".rstrip(".") for name, end in ended if end.fault]


def take_back(functions: list[Function], releases: dict[str, Release], report: Report) -> None:
    """Move every function of a failed release back. CodeDeploy has already moved the function that failed."""
    for function in functions:
        release = releases.get(function.name)
        if release and function.alias() != (release.before, {}):
            function.move(release.before)
            report(f"{function.name}: moved back to version {release.before}, because the release failed")


def main(stage: str, alarms: str = "") -> None:
    """Shift a stage. If it was rolled back, exit with one sentence."""
    if stage not in stage_names():
        sys.exit(f"make shift: there is no stage {stage}; the stages are {', '.join(stage_names())}.")
    try:
        release = shift(calls_of(stage), stage, lambda line: print(line, file=sys.stderr), alarms != "off")
    except (CallFailed, ReleaseFailed) as exc:
        sys.exit(f"make shift: {exc}.")
    except KeyboardInterrupt:
        sys.exit(f"make shift: interrupted. CodeDeploy continues; `make rollback STAGE={stage}` stops it.")
    print(release or "")


if __name__ == "__main__":
    main(*sys.argv[1:3])
