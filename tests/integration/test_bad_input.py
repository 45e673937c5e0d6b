"""What a user gets wrong: one error each, in one layout, with the line, the remedy and the exit code."""

import os
import re
import socket
from pathlib import Path

import pytest

from fakes.socks5_server import FakeServer
from integration.daemon import SERVER, Daemon, tcp
from integration.local import echoes, is_reset
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets

LAYOUT = re.compile(r"error: (?P<text>.+)\n(  --> (?P<path>.+?)(:(?P<line>\d+))?\n)?  help: (?P<help>.+)\n")

GOOD = """\
[server.office]
address = "127.0.0.1:1080"

[tcp.db]
listen = "127.0.0.1:5432"
to = "db.internal:5432"
"""

BAD = {
    "an unknown key": (GOOD + 'lisen = "127.0.0.1:1"\n', 7, "listen"),
    "a wrong type": (GOOD.replace('"127.0.0.1:5432"', "5432"), 5, "in quotes"),
    "port 0": (GOOD.replace("127.0.0.1:5432", "127.0.0.1:0"), 5, "65535"),
    "port 70000": (GOOD.replace("db.internal:5432", "db.internal:70000"), 6, "65535"),
    "two forwards on one port": (
        GOOD + '[tcp.other]\nlisten = "127.0.0.1:5432"\nto = "other.internal:1"\n',
        8,
        "db",
    ),
    "a server that is missing": (GOOD + 'server = "offcie"\n', 7, "office"),
    "no server at all": (GOOD.partition("[tcp.db]")[2].join(["[tcp.db]", ""]), 1, "server"),
    "cut off in the middle": (GOOD[:-20], 6, "cut off"),
    "no TOML": ("<html>\n", 1, "toml"),
}


def layout(stderr: str) -> re.Match[str]:
    """The parts of an error; fails where stderr is anything but one error."""
    match = LAYOUT.fullmatch(stderr)
    assert match, stderr
    return match


@pytest.mark.parametrize(("text", "line", "hint"), BAD.values(), ids=BAD)
def test_a_bad_configuration(daemon: Daemon, text: str, line: int, hint: str) -> None:
    """Neither run nor start nor check takes it: exit code 4, the line, and what would be right."""
    daemon.configure(text)
    shown = [daemon.cli(*words) for words in (["run"], ["start"], ["config", "check"])]
    assert [done.returncode for done in shown] == [4, 4, 4]
    assert {done.stderr for done in shown} == {shown[0].stderr}, "the same words wherever it is found"
    error = layout(shown[0].stderr)
    assert Path(error["path"]).name == "config.toml"
    assert int(error["line"]) == line
    assert hint.lower() in (error["text"] + error["help"]).lower()


def test_no_configuration(daemon: Daemon) -> None:
    """The first thing a newcomer meets."""
    done = daemon.cli("run")
    assert done.returncode == 4
    assert str(daemon.config) in layout(done.stderr)["text"]


def test_an_unreadable_configuration(daemon: Daemon) -> None:
    """A folder in its place; nothing is ever waited for."""
    daemon.config.mkdir()
    done = daemon.cli("run")
    assert done.returncode == 4
    layout(done.stderr)
    daemon.config.rmdir()
    os.mkfifo(daemon.config)
    done = daemon.cli("run")
    assert done.returncode == 4
    layout(done.stderr)


def test_a_bad_edit_changes_nothing(targets: Targets, daemon: Daemon) -> None:
    """While running: it is told, connections and listeners stay, and the good file that follows is taken."""
    with FakeServer() as server:
        port, added = free_port(), free_port()
        sections = [daemon.server(f"{LOOPBACK}:{server.port}"), tcp("echo", port, targets.echo_port)]
        daemon.configure(*sections)
        daemon.start()
        daemon.configure(*sections, '[tcp.added]\nlisten = "127.0.0.1:7"\n')
        status = daemon.wait_for(lambda status: bool(status.problems))
        assert "added" in status.problems[0].text
        assert echoes(port)
        daemon.configure(*sections, tcp("added", added, targets.echo_port))
        daemon.wait_for(lambda status: not status.problems and status.forwards["added"].state == "listening")
        assert echoes(added)


def test_a_port_in_use(targets: Targets, daemon: Daemon) -> None:
    """That forward names the process that has it, the others run; when the port is free, it is taken."""
    port, taken_port = free_port(), free_port()
    with FakeServer() as server, socket.create_server((LOOPBACK, taken_port)) as taken:
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"),
            tcp("taken", taken_port, targets.echo_port),
            tcp("free", port, targets.echo_port),
        )
        daemon.start()
        status = daemon.status()
        assert status.forwards["taken"].state == "error"
        problem = status.forwards["taken"].problem
        assert problem is not None
        assert problem.code == "port-in-use"
        assert f"pid {os.getpid()}" in problem.text
        assert problem.remedy.startswith("sockslocal forward set taken --listen ")
        assert echoes(port)
        taken.close()
        daemon.wait_for(lambda status: status.forwards["taken"].state == "listening")
        assert echoes(taken_port)


def password_problem(daemon: Daemon, content: str, mode: int) -> tuple[str, str]:
    """The code and text of what is wrong with a password file."""
    kept = daemon.folder / "kept"
    kept.write_text(content)
    kept.chmod(mode)
    port = free_port()
    with FakeServer(credentials=(b"ana", content.encode())) as server:
        address = f"{LOOPBACK}:{server.port}"
        daemon.configure(
            daemon.server(address, username="ana", password_from=f"file:{kept}"),
            tcp("echo", port, 7),
        )
        daemon.start()
        status = daemon.wait_for(lambda status: status.servers[SERVER].problem is not None)
        problem = status.servers[SERVER].problem
        assert problem is not None
        assert problem.remedy
        assert is_reset(port)
        assert not server.sessions
    return problem.code, problem.text


def test_a_password_file_that_others_may_read(daemon: Daemon) -> None:
    """It is not used."""
    code, text = password_problem(daemon, "secret", 0o644)
    assert code == "password-source-failed"
    assert "secret" not in text.replace("password", "")


def test_a_password_that_is_too_long(daemon: Daemon) -> None:
    """RFC 1929 has one octet for its length: 255 octets, not characters."""
    code, text = password_problem(daemon, "ñ" * 128, 0o600)
    assert code == "password-invalid"
    assert "255" in text


def test_the_longest_password(targets: Targets, daemon: Daemon) -> None:
    """255 octets log in."""
    password = "ñ" * 127 + "x"
    with FakeServer(credentials=(b"ana", password.encode())) as server:
        port = free_port()
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}", username="ana", password=password),
            tcp("echo", port, targets.echo_port),
        )
        daemon.start()
        assert echoes(port)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["frobnicate"], 2),
        (["status", "--frobnicate"], 2),
        (["forward", "add", "tcp", "x"], 2),
        (["status"], 3),
        (["on"], 3),
        (["dns", "query", "www.example"], 3),
        (["stop"], 3),
    ],
)
def test_exit_codes(daemon: Daemon, words: list[str], code: int) -> None:
    """2 for usage, 3 where no daemon runs."""
    daemon.configure(GOOD)
    done = daemon.cli(*words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
