"""The first run, as a new user has it: at a terminal, against a server with a password."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from fakes.person import INTERRUPT, Person, at_terminal
from fakes.socks5_server import FakeServer, Script
from fakes.waiting import wait_until
from integration.daemon import SERVER, Daemon, section
from integration.local import echoes
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets

PASSWORD = "geh:eim 7"


@pytest.fixture
def server(targets: Targets) -> Iterator[FakeServer]:
    """It reaches this machine and no other."""
    with FakeServer(credentials=(b"ana", PASSWORD.encode())) as running:
        running.script = Script(reply=4)
        running.cases[LOOPBACK] = Script()
        yield running


@contextmanager
def setting_up(daemon: Daemon) -> Iterator[Person]:
    """A person in the first run; the daemon that it may start is stopped at the end."""
    try:
        with at_terminal(daemon.command("setup"), daemon.environment) as person:
            yield person
    finally:
        daemon.cli("stop", "--grace", "0")


def names_server(person: Person, address: str, password: str = PASSWORD) -> None:
    """The first questions."""
    person.answers("Address, host:port: ", address)
    person.answers("A name for it", SERVER)
    person.answers("User name", "ana")
    person.answers("Password of ana at office: ", password)


def test_from_nothing_to_a_working_forward(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """With what a person may get wrong on the way; the password is never shown, and only where it was put."""
    port, dead = free_port(), free_port()
    with setting_up(daemon) as person:
        names_server(person, f"{LOOPBACK}:{dead}", "wrong")
        person.reads("connection refused")
        person.answers("What now")
        person.answers("Address, host:port [", f"{LOOPBACK}:{server.port}")
        person.answers("User name, - for none [ana]: ")
        person.answers("Password of ana at office: ")
        person.reads("rejected the user name or password")
        person.answers("What now")
        person.answers("User name, - for none [ana]: ")
        person.answers("Password of ana at office: ", PASSWORD)
        person.reads("It accepts yours")
        person.answers("Where to keep the password")
        person.answers("Make one now")
        person.answers("Where it leads", f"{LOOPBACK}:{dead}")
        person.answers("Local port", str(port))
        person.answers("A name for it", "echo")
        person.answers("What now", "change")
        person.answers("Where it leads", f"{LOOPBACK}:{targets.echo_port}")
        person.answers("Local port", str(port))
        person.answers("A name for it", "echo")
        person.reads("answers")
        person.answers("Have one")
        person.answers("whenever you log in", "no")
        person.answers("Save it, and start")
        person.reads("office is up")
        person.reads(f"is at {LOOPBACK}:{port} now")
        assert person.leaves() == 0
        assert echoes(port)
    assert PASSWORD not in person.seen
    assert (daemon.folder / "office.password").read_text() == f"{PASSWORD}\n"
    assert PASSWORD not in daemon.config.read_text() + daemon.paths.log.read_text()


def test_again_with_what_is_there(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """Enter keeps it; a forward is added, comments stay, and the running daemon takes it at once.

    The password is typed all the same: where much runs, one from a file may take longer than it is given.
    """
    office = daemon.server(f"{LOOPBACK}:{server.port}", username="ana", password=PASSWORD)
    daemon.configure(f"# mine\n{office}# more of mine\n")
    daemon.start()
    port = free_port()
    with at_terminal(daemon.command("setup"), daemon.environment) as person:
        person.answers("Which one [office]: ")
        person.answers("Address, host:port [")
        person.answers("User name, - for none [ana]: ")
        person.reads("Enter keeps the password")
        person.answers("Password of ana at office: ", PASSWORD)
        person.answers("Make one now")
        person.answers("What it carries")
        person.answers("Where it leads", f"{LOOPBACK}:{targets.echo_port}")
        person.answers("Local port", str(port))
        person.answers("A name for it", "echo")
        person.reads("answers")
        person.answers("Have one", "no")
        person.answers("whenever you log in", "no")
        person.answers("Save it, and start")
        assert person.leaves() == 0
    assert echoes(port)
    text = daemon.config.read_text()
    assert text.startswith(f"# mine\n{office}# more of mine\n")
    assert daemon.status().forwards["echo"].state == "listening"


@pytest.mark.parametrize("question", ["Address", "Password", "Make one now", "Save it"])
def test_ctrl_c_saves_nothing(daemon: Daemon, server: FakeServer, question: str) -> None:
    """At any point; what tried the answers is gone too."""
    answers = {
        "Address": f"{LOOPBACK}:{server.port}",
        "A name": SERVER,
        "User": "ana",
        "Password": PASSWORD,
        "Where to keep": "",
        "Make one now": "no",
        "Have one": "no",
        "whenever you log in": "",
        "Save it": "",
    }
    with setting_up(daemon) as person:
        for asked, answer in answers.items():
            if asked == question:
                person.reads(asked)
                person.presses(INTERRUPT)
                break
            person.answers(asked, answer)
        person.reads("nothing was saved")
        assert person.leaves() == 130
    assert [*daemon.folder.iterdir()] == []
    assert daemon.cli("autostart").stdout.count(" off ") == 2


def test_without_a_terminal(daemon: Daemon) -> None:
    """Nobody is asked; the commands that do the same are told."""
    done = daemon.cli("setup")
    assert (done.returncode, done.stdout) == (2, "")
    for command in ("server add", "login office", "forward add", "start", "autostart on"):
        assert f"sockslocal {command}" in done.stderr


def test_a_configuration_that_is_wrong(daemon: Daemon) -> None:
    """Has to be mended first, as it would else be in the way of what is to be saved."""
    daemon.configure(section("server.office", adress="a:1"))
    with at_terminal(daemon.command("setup"), daemon.environment) as person:
        person.reads("adress")
        assert person.leaves() == 4


def test_a_trial_does_not_outlive_who_tries(daemon: Daemon, server: FakeServer) -> None:
    """Though that is killed."""
    with setting_up(daemon) as person:
        names_server(person, f"{LOOPBACK}:{server.port}")
        person.reads("It accepts yours")
        trials = psutil.Process(person.pid).children()
        assert trials
        person.is_killed()
        wait_until(lambda: not any(map(_runs, trials)), seconds=10, what="the end of what tried")


def _runs(process: psutil.Process) -> bool:
    """Unless nobody has taken note of its end yet."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
