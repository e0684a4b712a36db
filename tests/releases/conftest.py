"""Functions and deployment groups on the emulated AWS, without Terraform."""

from collections.abc import Iterator

import pytest
from releases.stage import ALL_AT_ONCE, Stage

from emulator.emulated_aws import EmulatedAws


@pytest.fixture(name="running_stage", scope="session")
def _running_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage on the emulated AWS."""
    aws = EmulatedAws(tmp_path_factory.mktemp("aws"), "ap-southeast-1")
    aws.start()
    yield Stage(aws)
    aws.stop()


@pytest.fixture(name="stage")
def _stage(running_stage: Stage) -> Stage:
    """The stage, without an alarm; both newest versions are live and the traffic shifts at once."""
    running_stage.set_clock(None)
    running_stage.raise_alarm("OK")
    running_stage.configure(ALL_AT_ONCE)
    running_stage.shift()
    return running_stage
