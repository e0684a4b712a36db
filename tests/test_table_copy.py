"""`make restore-events`, `make compare-events` and `make copy-events`: what they do to tables in moto."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import restore_cli
from botocore.client import BaseClient
from chalicelib.event import parse
from in_process import tables_in_moto
from local.aws import TABLES
from table_copy import Comparison, TableCopyError, TablePair, restore
