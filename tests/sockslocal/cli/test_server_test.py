import io
import json
import sys
from typing import Any

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status, using
from sockslocal.cli.screen import ASCII, UNICODE
from sockslocal.cli.server_test import lines_of
from sockslocal.cli.terminal import text_of
from sockslocal.errors import ServerError
from sockslocal.paths import Paths
from sockslocal.status import Server

REPORT: dict[str, Any] = {
    "server": "office",
    "address": "proxy:1080",
    "seconds": 1.26,
    "summary": "Connections and datagrams pass.",
    "rows": [
        {"name": "login", "title": "Login", "found": "none", "meaning": "It wants none.", "verdict": "good"},
        {
            "name": "a",
            "title": "Early data",
            "found": "lost",
            "meaning": "So none is sent.",
            "verdict": "note",
        },
        {"name": "udp", "title": "UDP", "found": "none", "meaning": "It says no.", "verdict": "bad"},
        {"name": "ipv6", "title": "IPv6", "found": "not known", "meaning": "No time.", "verdict": "unknown"},
    ],
    "profile": {"rung": "none"},
}

TABLE = """\
office, at proxy:1080, tested in 1.3 s

●  Login       none       It wants none.
!  Early data  lost       So none is sent.
✗  UDP         none       It says no.
○  IPv6        not known  No time.

Connections and datagrams pass.
"""

SERVERS = {"office": Server("proxy:1080", "up"), "home": Server("192.0.2.7:1080", "up")}


async def tell(_parameters: dict[str, Any]) -> object:
    """The answer to `server.test`."""
    return REPORT


def drawn(width: int, report: dict[str, Any] = REPORT, *, ascii_only: bool = False) -> str:
    """The table as text."""
    lines = lines_of(report, width, ASCII if ascii_only else UNICODE)
    return "".join(f"{text_of(line, colour=False)}\n" for line in lines)


def test_the_table(cli: CommandLine, paths: Paths) -> None:
    """What a person reads, of the server that was named."""
    with fake_daemon(paths, {"server.test": tell}) as daemon:
        assert cli("server", "test", "home") == (0, TABLE, "")
        assert daemon.calls == [("server.test", {"name": "home"})]


def test_the_report_for_programs(cli: CommandLine, paths: Paths) -> None:
    """As the daemon has it, whatever it has beyond what is known here."""
    with fake_daemon(paths, {"server.test": tell}):
        assert json.loads(cli("server", "test", "office", "--json").out) == REPORT


def test_the_first_server(cli: CommandLine, paths: Paths) -> None:
    """Where none is named, it is the daemon's."""
    first = status(servers=SERVERS, daemon=using(paths.config))
    with fake_daemon(paths, {"server.test": tell}, first=first) as daemon:
        assert cli("server", "test").code == 0
        assert daemon.calls[-1] == ("server.test", {"name": "office"})


def test_a_daemon_with_another_file(cli: CommandLine, paths: Paths) -> None:
    """Its servers are not those that one may think of."""
    other = paths.config.with_name("other.toml")
    with fake_daemon(paths, {"server.test": tell}, first=status(servers=SERVERS, daemon=using(other))):
        done = cli("server", "test")
    assert (done.code, done.out) == (0, TABLE)
    assert "other.toml" in done.err


def test_no_server(cli: CommandLine, paths: Paths) -> None:
    """The command for one is told."""
    with fake_daemon(paths, first=status(daemon=using(paths.config))):
        done = cli("server", "test")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: there is no server to test\n  help: sockslocal ")
    assert "server add office" in done.err


def test_what_is_wrong_with_the_server(cli: CommandLine, paths: Paths) -> None:
    """Is the command's error, with the exit code for it."""

    async def fail(_parameters: dict[str, Any]) -> object:
        raise ServerError.of(
            "server-unreachable", address="proxy:1080", server="office", reason="it does not answer"
        )

    with fake_daemon(paths, {"server.test": fail}):
        done = cli("server", "test", "office")
    assert (done.code, done.out) == (6, "")
    assert "proxy:1080 cannot be connected to: it does not answer" in done.err


def test_nothing_runs(cli: CommandLine, paths: Paths) -> None:
    """Only a daemon can test."""
    done = cli("server", "test")
    assert done.code == 3
    assert "sockslocal start" in done.err


def test_who_waits_is_told(cli: CommandLine, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a screen, for it takes seconds."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with fake_daemon(paths, {"server.test": tell}):
        assert cli("server", "test", "office").out == TABLE
    assert screen.getvalue() == "testing office for a few seconds\n"


def test_a_wide_terminal() -> None:
    """Every row is a line."""
    assert drawn(100) == TABLE


def test_sentences_are_wrapped() -> None:
    """Below where they begin."""
    row = {**REPORT["rows"][0], "meaning": "It wants none, so that whoever reaches it may use it at once."}
    assert drawn(50, {**REPORT, "rows": [row]}) == (
        "office, at proxy:1080, tested in 1.3 s\n"
        "\n"
        "●  Login  none  It wants none, so that whoever\n"
        "                reaches it may use it at once.\n"
        "\n"
        "Connections and datagrams pass.\n"
    )


def test_a_narrow_terminal() -> None:
    """Sentences have lines of their own."""
    assert drawn(40).splitlines()[2:6] == [
        "●  Login       none",
        "    It wants none.",
        "!  Early data  lost",
        "    So none is sent.",
    ]


def test_a_terminal_without_unicode() -> None:
    """The marks differ all the same."""
    marks = [line[0] for line in drawn(100, ascii_only=True).splitlines()[2:6]]
    assert marks == ["+", "!", "x", "-"]


def test_a_daemon_that_has_nothing_to_tell() -> None:
    """Is no reason to fail."""
    assert drawn(80, {**REPORT, "rows": []}).endswith("\n\n\nConnections and datagrams pass.\n")
    blank = {**REPORT["rows"][0], "meaning": ""}
    assert "●  Login  none\n" in drawn(80, {**REPORT, "rows": [blank]})
