import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon
from sockslocal.cli import system_dns
from sockslocal.paths import Paths


@pytest.mark.parametrize("command", [("status",), ("dns", "status")])
def test_a_dead_daemon_that_the_system_asks_is_told_of(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """With the way out, before the error itself."""
    monkeypatch.setattr(system_dns, "is_asked", lambda: True)
    done = cli(*command)
    assert done.code == 3
    assert done.err.startswith("the system still asks it for names; ")
    assert "sockslocal dns restore\nerror: " in done.err


def test_nothing_is_said_where_the_system_has_nothing_to_do_with_it(
    cli: CommandLine, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where the daemon lives, or something else is wrong."""
    monkeypatch.setattr(system_dns, "is_asked", lambda: False)
    assert "dns restore" not in cli("status").err
    monkeypatch.setattr(system_dns, "is_asked", lambda: True)
    with fake_daemon(paths):
        assert "dns restore" not in cli("status").err
