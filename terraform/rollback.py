"""Moves a stage back to the versions before its last release: `make rollback` runs this.

It moves the aliases itself, at once. CodeDeploy refuses to deploy before an alarm has ended.
"""

import sys

from aws_calls import Call, CallFailed, calls_of
from traffic import Data, Function, Release, ReleaseFailed, Report, data_changes, functions_of, stage_names

NOTHING = Data(None, 0)  # what nobody has permitted to go back to


def roll_back(
    call: Call, stage: str, report: Report, name: str | None = None, permitted: Data = NOTHING
) -> dict[str, Release]:
    """Roll back the last release, or the release of a name if it is live. Return what it was, by the function's name.

    A running release is stopped first. If CodeDeploy has taken the last release back already, nothing moves.
    Raises ReleaseFailed if there is nothing before. Raises it, too, if the versions before use another table of
    events or fewer shards, unless exactly these are permitted.
    """
    functions = functions_of(call, stage, report)
    stopped = stop_all(functions, permitted, report)
    arrivals = [(function.name, function.arrival()) for function in functions]
    live = {function: release for function, release in arrivals if release}
    if not name:
        if not stopped and (taken_back := last_if_taken_back(functions)):
            report(already_back(taken_back, live, stage))
            return {}
        names = [release.name for release in (stopped or live).values()]
        if not names:
            raise ReleaseFailed("there is no earlier version: the first versions of the functions are live")
        name = max(names)
    found = [*live.items(), *stopped.items()]  # a function can have a live release and a stopped one
    releases = {key: release for key, release in found if release.name == name}
    check_data(functions, releases, permitted)
    for function in functions:
        if release := releases.get(function.name):
            function.move(release.before)
            report(f"{function.name}: all traffic goes to version {release.before} again, not to {release.after}")
    if not releases:
        report(f"The release {name} is not live: nothing to roll back.")
    return releases


def stop_all(functions: list[Function], permitted: Data, report: Report) -> dict[str, Release]:
    """Stop the running deployments. Return their releases by the function's name, without those that are of no release.

    Raises ReleaseFailed before it stops anything, if the versions before use another table of events or fewer shards.
    """
    running = {function: deployment for function in functions if (deployment := ours(function, report))}
    found = {function.name: function.release_of(deployment) for function, deployment in running.items()}
    releases = {name: release for name, release in found.items() if release}
    check_data(functions, releases, permitted)
    for function, deployment in running.items():
        report(f"{function.name}: stopping the deployment {deployment}")
        function.stop(deployment)
    return releases


def ours(function: Function, report: Report) -> str | None:
    """Return a function's running deployment; None if there is none. Wait for a rollback that CodeDeploy makes."""
    running = function.running()
    if running and function.is_rollback(running):
        report(f"{function.name}: CodeDeploy takes a release back ({running}); waiting for its end")
        function.wait(running)
        return None
    return running


def check_data(functions: list[Function], releases: dict[str, Release], permitted: Data) -> None:
    """Raise ReleaseFailed if a function would use another table of events or fewer shards, and not the permitted."""
    for name, release, before, after in data_changes(functions, releases):
        if before.table not in (after.table, permitted.table):
            raise ReleaseFailed(
                f"version {release.before} of {name} uses the table {before.table}, and version {release.after} uses "
                f"{after.table}: events that are only in {after.table} would be 404. Nothing was moved. Read 'Switch "
                f"back' in docs/operations.md. To go back to {before.table} all the same, add TABLE={before.table}"
            )
        if before.shards < after.shards and before.shards != permitted.shards:
            raise ReleaseFailed(
                f"version {release.before} of {name} has fewer index shards than version {release.after}, "
                f"{before.shards} instead of {after.shards}: lists would miss the events in the others. Nothing was "
                "moved. Revert the commit's other changes, keep index_shards, and deploy. To go back all the same, add "
                f"SHARDS={before.shards}"
            )


def last_if_taken_back(functions: list[Function]) -> dict[str, Release]:
    """Return the last release by the function's name, if it failed or was stopped and the versions before are live."""
    found = [(function, function.latest()) for function in functions]
    latest = {function: release for function, release in found if release}
    last = max((release.name for release, _ in latest.values()), default=None)
    parts = {function: release for function, (release, _) in latest.items() if release.name == last}
    failed = any(latest[function][1] for function in parts)
    if not failed or any(function.alias() != (release.before, {}) for function, release in parts.items()):
        return {}
    return {function.name: release for function, release in parts.items()}


def already_back(taken_back: dict[str, Release], live: dict[str, Release], stage: str) -> str:
    """Return in words that the last release was taken back, and how to go back further."""
    versions = ", ".join(f"{name} {release.before}" for name, release in taken_back.items())
    last = next(iter(taken_back.values())).name
    text = f"The last release {last} was taken back already, and the versions before it are live: {versions}."
    if live:
        before = max(release.name for release in live.values())
        text += f" To go back further, to before the release {before}: make rollback STAGE={stage} RELEASE={before}"
    return text


def main(stage: str, name: str = "", table: str = "", shards: str = "") -> None:
    """Roll back a stage, and say what the next deployment will do."""
    if stage not in stage_names():
        sys.exit(f"make rollback: there is no stage {stage}; the stages are {', '.join(stage_names())}.")
    if shards and not shards.isdecimal():
        sys.exit(f"make rollback: SHARDS={shards} is no number: leave it out, or write the number that it printed.")
    permitted = Data(table or None, int(shards or 0))
    try:
        releases = roll_back(calls_of(stage), stage, print, name or None, permitted)
    except (CallFailed, ReleaseFailed) as exc:
        sys.exit(f"make rollback: {exc}.")
    if releases:
        print(
            f"The release {next(iter(releases.values())).name} of {stage} is rolled back. The next deployment shifts "
            "to the newest version again: correct or revert the commit before you push."
        )


if __name__ == "__main__":
    main(*sys.argv[1:5])
