"""Shifts a stage's traffic to the newest versions of its functions: `make shift` runs this after `make apply`.

CodeDeploy moves the aliases, and moves them back if an alarm fires. The name of the release goes to standard output,
and everything else to standard error. It needs no packages: the job that deploys a stage installs none.
"""

import sys
from datetime import UTC, datetime

from aws_calls import Call, CallFailed, calls_of
from traffic import Function, Release, ReleaseFailed, Report, data_changes, functions_of, moves, stage_names


def shift(call: Call, stage: str, report: Report, with_alarms: bool = True) -> str | None:
    """Release the newest versions. Return the release's name; None if they are live already.

    Raises ReleaseFailed if a function was rolled back. Then all functions have their previous versions. Raises it
    before anything moves if the newest version has fewer shards.
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
    at_once = changes_data(functions, releases, report)
    started, faults = start(functions, releases, with_alarms, at_once, report)
    if faults and started:
        report(f"{', '.join(started)}: the deployment runs to its end. Then the release goes back")
    try:
        faults += wait(functions, started)
    except CallFailed as exc:
        raise ReleaseFailed(
            f"{exc}. CodeDeploy continues with {', '.join(started)}; `make rollback STAGE={stage}` stops it"
        ) from exc
    if not faults:
        report(f"The release is complete: {moves(releases)}.")
        return next(iter(releases.values())).name
    if not started:
        raise ReleaseFailed(f"the release did not start, and no traffic moved. The reason: {'; '.join(faults)}")
    take_back([function for function in functions if function.name in started], releases, report)
    versions = ", ".join(f"{name} {releases[name].before}" for name in started)
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


def changes_data(functions: list[Function], releases: dict[str, Release], report: Report) -> bool:
    """Tell whether the releases change where events are kept, and report it. Raises ReleaseFailed for fewer shards."""
    changes = list(data_changes(functions, releases))
    for function, release, before, after in changes:
        if after.shards < before.shards:
            raise ReleaseFailed(
                f"version {release.after} of {function} has fewer index shards than version {release.before}, "
                f"{after.shards} instead of {before.shards}: lists would miss the events in the others. No traffic "
                f"moved. Set index_shards to {before.shards} or more, and deploy again"
            )
        report(
            f"{function}: version {release.before} uses {before}, and {release.after} uses {after}: all traffic moves "
            "at once, because the two must not serve at the same time"
        )
    return bool(changes)


def start(
    functions: list[Function], releases: dict[str, Release], with_alarms: bool, at_once: bool, report: Report
) -> tuple[dict[str, str], list[str]]:
    """Start a deployment of each function in a release. Return their ids by the function's name, and what failed."""
    started: dict[str, str] = {}
    for function in functions:
        if release := releases.get(function.name):
            try:
                started[function.name] = function.start(release, with_alarms, at_once)
            except CallFailed as exc:
                return started, [f"{function.name}: {exc}"]
            deployment = started[function.name]
            report(f"{function.name}: shifting from version {release.before} to {release.after} ({deployment})")
    return started, []


def wait(functions: list[Function], started: dict[str, str]) -> list[str]:
    """Wait for the end of all deployments. Return what went wrong."""
    waited_for = [function for function in functions if function.name in started]
    ended = [(function.name, function.wait(started[function.name])) for function in waited_for]
    return [f"{name}: {end.fault}".rstrip(".") for name, end in ended if end.fault]


def take_back(functions: list[Function], releases: dict[str, Release], report: Report) -> None:
    """Move each function of a failed release back. CodeDeploy has already moved the function that failed."""
    for function in functions:
        release = releases[function.name]
        if function.alias() != (release.before, {}):
            function.move(release.before)
            report(f"{function.name}: moved back to version {release.before}, because the release failed")


def main(stage: str, alarms: str = "") -> None:
    """Shift a stage. If it was rolled back, exit with one sentence."""
    if stage not in stage_names():
        sys.exit(f"make shift: there is no stage {stage}; the stages are {', '.join(stage_names())}.")
    if alarms not in ("", "on", "off"):
        sys.exit(f"make shift: ALARMS={alarms} is neither on nor off: leave it out, or write ALARMS=off.")
    try:
        release = shift(calls_of(stage), stage, lambda line: print(line, file=sys.stderr), alarms != "off")
    except (CallFailed, ReleaseFailed) as exc:
        sys.exit(f"make shift: {exc}.")
    except KeyboardInterrupt:
        sys.exit(f"make shift: interrupted. CodeDeploy continues; `make rollback STAGE={stage}` stops it.")
    print(release or "")


if __name__ == "__main__":
    main(*sys.argv[1:3])
