import functools
import io
import os
import sys
from pathlib import Path

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status, stopping, using
from sockslocal import credentials
from sockslocal.cli import background, leash, lifecycle
from sockslocal.control.client import Client
from sockslocal.control.endpoint import claim
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.secret import Secret
from sockslocal.status import Server, Status

ASKING = '[server.office]\naddress = "proxy:1080"\nusername = "ana"\npassword_from = "prompt"\n'


class Terminal(io.StringIO):
    """A stdin with a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who types `hunter2`."""
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(credentials, "ask", lambda _server, _username: Secret("hunter2"))


def test_the_demo_is_called(cli: CommandLine) -> None:
    """It is not part of the command line."""
    assert cli("demo").code == 0
    assert cli("demo", "--once").code == 0
    assert cli.demos == [False, True]


def test_run_logs_to_the_terminal(cli: CommandLine, paths: Paths) -> None:
    """At the level that was asked for; or to the file."""
    paths.config.write_text("")
    assert cli("run").code == 0
    assert cli("run", "--level", "debug", "--log-to-file").code == 0
    assert cli.runs == [(paths, True, "INFO", {}), (paths, False, "DEBUG", {})]


@pytest.mark.usefixtures("person")
def test_run_asks_for_what_is_not_stored(cli: CommandLine, paths: Paths) -> None:
    """The daemon gets it as a secret."""
    paths.config.write_text(ASKING)
    assert cli("run").code == 0
    assert cli.runs[0].secrets == {"office": Secret("hunter2")}


def test_run_takes_what_start_asked_for(
    cli: CommandLine, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From its stdin."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"office": "hunter2"}')))
    assert cli("run", "--secrets-from-stdin").code == 0
    assert cli.runs[0].secrets == {"office": Secret("hunter2")}


def test_run_may_be_tied_to_who_started_it(
    cli: CommandLine, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the pipe that is its stdin."""
    held: list[int] = []
    monkeypatch.setattr(leash, "hold", held.append)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115  closed with the test
    paths.config.write_text("")
    assert cli("run").code == 0
    assert held == []
    assert cli("run", "--until-stdin-ends").code == 0
    assert held == [sys.stdin.fileno()]
    sys.stdin.close()


def test_run_with_a_bad_configuration_runs_nothing(cli: CommandLine, paths: Paths) -> None:
    """One error, exit code 4."""
    paths.config.write_text("[server")
    assert cli("run").code == 4
    assert cli.runs == []


class FakeBackground:
    """Starts and stops nothing; notes what was asked."""

    def __init__(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.running: int | None = None
        self.fails: Exception | None = None
        monkeypatch.setattr(background, "launch", self._launch)
        monkeypatch.setattr(background, "stop", self._stop)
        monkeypatch.setattr(background, "wait_until_gone", self._wait)
        self._paths = paths

    def _launch(self, paths: Paths, level: str, secrets: dict[str, Secret]) -> Status:
        assert paths == self._paths
        self.calls.append(("launch", level, secrets))
        if self.fails:
            raise self.fails
        return status()

    def _stop(self, _paths: Paths, grace: float) -> int | None:
        self.calls.append(("stop", grace))
        return self.running

    def _wait(self, _paths: Paths, pid: int, seconds: float) -> None:
        self.calls.append(("wait", pid, seconds))


@pytest.fixture
def fake(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> FakeBackground:
    """Instead of processes."""
    paths.config.write_text(ASKING)
    return FakeBackground(paths, monkeypatch)


def test_starting_what_runs_says_so(cli: CommandLine, fake: FakeBackground, paths: Paths) -> None:
    """What is wanted is there: exit code 0."""
    with fake_daemon(paths):
        done = cli("start")
    assert done == (0, "", "sockslocal runs already as process 4711\n")
    assert fake.calls == []


def test_starting_with_another_file_says_that_it_is_not_used(
    cli: CommandLine, fake: FakeBackground, paths: Paths, tmp_path: Path
) -> None:
    """One daemon runs for a user."""
    other = tmp_path / "other.toml"
    with fake_daemon(paths, first=status(daemon=using(other))):
        assert cli("start").err.splitlines() == [
            "sockslocal runs already as process 4711",
            f"process 4711 uses another configuration: {other}",
            "to use this one: sockslocal restart",
        ]


@pytest.mark.usefixtures("person")
def test_start_waits_for_one_that_is_stopping(
    cli: CommandLine, fake: FakeBackground, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as that one gives its connections, and says so; then it starts."""
    monkeypatch.setattr("sockslocal.cli.lifecycle.settled", lambda _client: status())
    with fake_daemon(paths, first=status(daemon=stopping(24.3))):
        done = cli("start")
    assert done.err.splitlines() == [
        "process 4711 is stopping: waiting until its connections end, 25 s at most",
        "sockslocal runs as process 4711",
    ]
    assert [call[0] for call in fake.calls] == ["wait", "launch"]
    assert fake.calls[0] == ("wait", 4711, 25)


def test_start_tells_of_one_that_does_not_answer(
    cli: CommandLine, fake: FakeBackground, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said to run."""
    monkeypatch.setattr(lifecycle, "Client", functools.partial(Client, deadline=0.1))
    with claim(paths):
        done = cli("start")
    assert done.code == 1
    assert done.err.endswith("did not answer within 0.1 s\n  help: sockslocal restart\n")
    assert fake.calls == []


@pytest.mark.usefixtures("person")
def test_start_asks_before_it_starts(
    cli: CommandLine, fake: FakeBackground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And tells what is wrong with a server as soon as that is known."""
    rejected = problem("auth-failed", address="proxy:1080", username="ana", remedy="sockslocal login office")
    settled = status(servers={"office": Server("proxy:1080", "auth-failed", problem=rejected)})
    monkeypatch.setattr("sockslocal.cli.lifecycle.settled", lambda _client: settled)
    done = cli("start", "--level", "debug")
    assert fake.calls == [("launch", "debug", {"office": Secret("hunter2")})]
    assert done.code == 0
    assert done.err.splitlines() == [
        "sockslocal runs as process 4711",
        f"warning: {rejected.text}",
        "  help: sockslocal login office",
    ]


def test_start_repeats_what_the_daemon_said(cli: CommandLine, fake: FakeBackground) -> None:
    """In its own words, with its exit code, and nothing that paints the terminal."""
    fake.fails = background.StartFailedError("error: taken \x1b[2J\n  help: free it\n", 7)
    assert cli("start") == (7, "", "error: taken \\x1b[2J\n  help: free it\n")


def test_a_daemon_that_breaks_is_told_of(cli: CommandLine, fake: FakeBackground) -> None:
    """The last line of a traceback, and how to see the rest."""
    fake.fails = background.StartFailedError("Traceback …\nImportError: no such thing", 1)
    assert cli("start") == (
        1,
        "",
        "error: the daemon ended while starting: ImportError: no such thing\n  help: sockslocal run\n",
    )


def test_stopping(cli: CommandLine, fake: FakeBackground) -> None:
    """The grace is passed on; who stopped is told; nobody to stop is exit code 3."""
    assert cli("stop").code == 3
    fake.running = 4711
    assert cli("stop", "--grace", "1.5m") == (0, "", "sockslocal has stopped (process 4711)\n")
    assert fake.calls == [("stop", 5.0), ("stop", 90.0)]


def test_restarting_works_in_any_case(
    cli: CommandLine, fake: FakeBackground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether something runs or not."""
    monkeypatch.setattr("sockslocal.cli.lifecycle.settled", lambda _client: status())
    assert cli("restart").err == "sockslocal runs as process 4711\n"
    fake.running = 12
    assert cli("restart", "--grace", "0").err == (
        "sockslocal has stopped (process 12)\nsockslocal runs as process 4711\n"
    )
    assert [call[0] for call in fake.calls] == ["stop", "launch", "stop", "launch"]


def test_restarting_into_a_bad_configuration_stops_nothing(
    cli: CommandLine, fake: FakeBackground, paths: Paths
) -> None:
    """What runs is better than nothing."""
    paths.config.write_text("[server")
    assert cli("restart").code == 4
    assert fake.calls == []
