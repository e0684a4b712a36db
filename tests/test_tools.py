"""Programs that some tests run are installed under build/, never beside the local events in .local/."""

from pathlib import Path

from tools import programs


def test_programs_are_under_build(tmp_path: Path) -> None:
    """Programs that build/ already has are used from there. Nothing is installed, and no other folder gets a file."""
    for name in ("tests/requirements-a.txt", "build/a/installed.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("# no package\n")
    before = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert programs("a", tmp_path) == tmp_path / "build" / "a" / "bin"
    after = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert after - before == {"build/a.lock"}
