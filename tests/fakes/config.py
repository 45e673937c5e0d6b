"""What the tests of the configuration share: a file to begin with, and what is said about a wrong one."""

from pathlib import Path
from typing import NamedTuple

import pytest

from sockslocal.config.load import parse
from sockslocal.errors import ConfigError

PATH = Path("config.toml")

SERVER = '[server.office]\naddress = "proxy.example.net:1080"\n'
"""Lines 1 and 2."""

FORWARD = f'{SERVER}[tcp.db]\nlisten = "127.0.0.1:5432"\nto = "db.internal:5432"\n'
"""Lines 1 to 5."""


class Complaint(NamedTuple):
    """What a ConfigError says."""

    line: int | None
    text: str
    remedy: str


def complaint_about(text: str) -> Complaint:
    """Parse `text`, which has to be refused."""
    with pytest.raises(ConfigError) as caught:
        parse(text, PATH)
    assert caught.value.path == PATH
    assert caught.value.problem.code == "config-invalid"
    return complaint_of(caught.value)


def error_about(text: str) -> ConfigError | None:
    """The error of parsing `text`, None where it is a configuration."""
    try:
        parse(text, PATH)
    except ConfigError as error:
        return error
    return None


def complaint_of(error: ConfigError) -> Complaint:
    """What `error` says."""
    return Complaint(error.line, error.problem.text, error.problem.remedy)
