import argparse
import importlib
import inspect
from collections.abc import Iterator

import pytest

from sockslocal.cli.tree import build


def commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command that does something, with its parser."""
    branches = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not branches:
        yield path, parser
    for branch in branches:
        for name, child in branch.choices.items():
            yield from commands(child, (*path, name))


ALL = dict(commands(build()))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_is_done_by_something(path: tuple[str, ...]) -> None:
    """The function that a command names exists, and takes arguments and context."""
    module, function = ALL[path].get_default("command").split(":")
    found = getattr(importlib.import_module(f"sockslocal.cli.{module}"), function)
    assert len(inspect.signature(found).parameters) == 2


def test_the_commands_of_the_interface_are_there() -> None:
    """Scripts and users rely on these names."""
    names = {" ".join(path) for path in ALL if not path[0].startswith("_")}
    assert names == {
        *(
            "demo",
            "run",
            "start",
            "stop",
            "restart",
            "status",
            "on",
            "off",
            "login",
            "logout",
            "logs",
            "doctor",
        ),
        *("forward add", "forward set", "forward remove", "forward list"),
        *("server add", "server use", "server remove", "server list", "server test"),
        *("dns query", "dns flush", "dns status", "dns use-system", "dns restore"),
        *("setup", "config path", "config check", "completion", "autostart", "tray"),
    }


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_a_terminal(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the usual width, and every argument is explained."""
    monkeypatch.setenv("COLUMNS", "90")
    parser = ALL[path]
    assert all(len(line) <= 88 for line in parser.format_help().splitlines())
    assert all(action.help for action in parser._actions)


def test_no_command_takes_a_password() -> None:
    """Arguments can be read by every process of the machine."""
    options = {
        option for parser in ALL.values() for action in parser._actions for option in action.option_strings
    }
    assert {option for option in options if "pass" in option or "secret" in option} == {
        "--password-from",
        "--secrets-from-stdin",
    }
