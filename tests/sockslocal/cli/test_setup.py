import io
from typing import Self

import pytest

from fakes.cli import CommandLine
from fakes.control import status
from fakes.person import Script
from fakes.trial import REPORT, FakeTrial
from sockslocal.cli import setup
from sockslocal.cli.first_run import save
from sockslocal.cli.first_run.plan import Plan
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.status import Server, Status

UP = status(servers={"lab": Server("127.0.0.1:1080", "up")})


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is there to be asked, and everything works that is tried."""
    monkeypatch.setattr(setup, "_is_somebody_there", lambda: True)
    monkeypatch.setattr(setup, "Trial", Works)


class Works(FakeTrial):
    """A server that does, and all behind it."""

    def __init__(self) -> None:
        super().__init__(REPORT, "answers", "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def starting(monkeypatch: pytest.MonkeyPatch, outcome: Status | None) -> list[Plan]:
    """Have the start end so; the plans that it was given."""
    plans: list[Plan] = []

    def start(plan: Plan, _paths: Paths) -> Status | None:
        plans.append(plan)
        return outcome

    monkeypatch.setattr(save, "start", start)
    return plans


def test_nobody_there_to_be_asked(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that do the same, each on a line of its own."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    done = cli("setup")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 6
    assert "sockslocal server add" in done.err
    assert "sockslocal autostart on" in done.err


@pytest.mark.usefixtures("terminal")
def test_all_of_it(cli: CommandLine, answers: Script, monkeypatch: pytest.MonkeyPatch, paths: Paths) -> None:
    """What was answered is shown once more, saved, and started now and at login."""
    plans = starting(monkeypatch, UP)
    answers("127.0.0.1:1080", "lab", "", "", "", "db:25432", "", "", "yes", "", "", "")
    done = cli("setup")
    assert (done.code, done.out) == (0, "")
    for line in (
        "server lab: 127.0.0.1:1080",
        "forward db: tcp, 127.0.0.1:25432 leads to db:25432",
        "resolver: 127.0.0.1:",
        "started at login",
        "saved in",
        "lab is up",
        "db:25432 is at 127.0.0.1:25432 now",
        "sockslocal status",
    ):
        assert line in done.err
    assert plans[0].at_login
    assert "[dns]" in paths.config.read_text()
    assert cli("autostart").out.count(" on ") == 2


@pytest.mark.usefixtures("terminal")
def test_not_to_be_saved(cli: CommandLine, answers: Script, paths: Paths) -> None:
    """Then nothing is."""
    answers("127.0.0.1:1080", "lab", "", "no", "no", "no", "no")
    done = cli("setup")
    assert (done.code, done.err.endswith("\nnothing was saved\n")) == (130, True)
    assert not paths.config.exists()


@pytest.mark.usefixtures("terminal")
def test_what_does_not_work_once_it_is_saved(
    cli: CommandLine, answers: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is told with what mends it; a daemon with another file, with the command that changes that."""
    trouble = problem(
        "server-unreachable", address="127.0.0.1:1080", server="lab", reason="connection refused"
    )
    down = status(servers={"lab": Server("127.0.0.1:1080", "down", problem=trouble)})
    for outcome, said in ((down, "warning: 127.0.0.1:1080 cannot"), (None, "to use it: sockslocal restart")):
        starting(monkeypatch, outcome)
        answers(*(("127.0.0.1:1080", "lab") if outcome else ("", "")), "", "no", "no", "no", "")
        done = cli("setup")
        assert done.code == 1
        assert said in done.err


@pytest.mark.usefixtures("terminal")
def test_ctrl_c_while_it_is_saved(cli: CommandLine, answers: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at any other point."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(save, "save", interrupted)
    answers("127.0.0.1:1080", "lab", "", "no", "no", "no", "")
    assert cli("setup").code == 130


@pytest.mark.parametrize(
    ("password_from", "said"),
    [
        (None, "in the keyring"),
        ("keyring", "in the keyring"),
        ("prompt", "asked for at each start"),
        ("file:/x/office.password", "in /x/office.password"),
        ("command:pass --token=x", "by the command, as before"),
    ],
)
def test_where_the_password_is(password_from: str | None, said: str) -> None:
    """In words, and without what may be secret."""
    assert setup._place(password_from) == said
