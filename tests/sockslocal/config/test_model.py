import dataclasses

import pytest

from fakes.config import FORWARD, PATH
from sockslocal.config.load import parse
from sockslocal.config.model import PasswordSource


def test_what_changed_is_found_by_comparing() -> None:
    """A reload compares records: equal ones are what keeps its connections."""
    before, same = parse(FORWARD, PATH), parse(f"# new comment\n{FORWARD}", PATH)
    assert before == same
    after = parse(FORWARD.replace("db.internal", "db2.internal"), PATH)
    assert before.servers == after.servers
    assert before.tcp["db"] != after.tcp["db"]


def test_nothing_changes_a_configuration() -> None:
    """Whoever holds a configuration may rely on it."""
    config = parse(FORWARD, PATH)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.dns = None  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.tcp["db"].enabled = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        (PasswordSource("keyring"), "sockslocal login office"),
        (PasswordSource("prompt"), "sockslocal restart"),
        (
            PasswordSource("file", "/home/ana/pw"),
            "see that /home/ana/pw gives the right password, then: sockslocal restart",
        ),
        (
            PasswordSource("command", "curl -u ana:hunter2 https://vault"),
            'see that the command "curl" gives the right password, then: sockslocal restart',
        ),
    ],
)
def test_another_password(source: PasswordSource, remedy: str) -> None:
    """Where the password comes from says how to give another one."""
    assert source.remedy("office") == remedy


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (PasswordSource(), "the keyring"),
        (PasswordSource("prompt"), "memory"),
        (PasswordSource("file", "/home/ana/pw"), "/home/ana/pw"),
        (PasswordSource("command", "pass show --token=hunter2"), 'the command "pass"'),
        (PasswordSource("command"), 'the command ""'),
        (PasswordSource("systemd", "proxy"), 'the systemd credential "proxy"'),
    ],
)
def test_the_place_of_a_password(source: PasswordSource, place: str) -> None:
    """It is told in words, a command without its arguments, which may be secrets."""
    assert source.place == place
