"""Clients of a deployed stage. Each file deploys its own stage."""

import pytest
from emulator.deploy import Stack
from targets import UrlApi
from tokens import TokenTable


@pytest.fixture(name="url_api", scope="module")
def _url_api(stack: Stack) -> UrlApi:
    """The deployed API, called with a token that has both scopes."""
    return UrlApi(stack.api_url(), stack.token())


@pytest.fixture(name="bare_api", scope="module")
def _bare_api(stack: Stack) -> UrlApi:
    """The deployed API, called without a token unless a test gives one."""
    return UrlApi(stack.api_url())


@pytest.fixture(name="table", scope="module")
def _table(stack: Stack) -> TokenTable:
    """The token table."""
    return stack.token_table()
