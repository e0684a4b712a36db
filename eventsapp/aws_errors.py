"""Explains AWS's errors to those who run a command. Not shipped."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from token_admin import TokenAdminError
from token_stage import emulated_stages


@contextmanager
def explained(stage: str, failure: str, explain: Callable[[ClientError, str], str]) -> Iterator[None]:
    """End the command with a sentence if a call of AWS fails.

    `explain` returns the sentence for an error that AWS returned. `failure` says what does not work if AWS cannot be
    called.
    """
    try:
        yield
    except TokenAdminError as exc:
        raise click.ClickException(str(exc)) from exc
    except ClientError as exc:
        raise click.ClickException(explain(exc, stage)) from exc
    except NoCredentialsError as exc:
        raise click.ClickException(
            "there are no AWS credentials: log in (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID."
        ) from exc
    except BotoCoreError as exc:
        emulated = emulated_stages().get(stage)
        remedy = f" Start it with `{emulated.start_command}`." if emulated else ""
        raise click.ClickException(f"{failure}: {exc}.{remedy}") from exc
