"""A canary for a password: it logs in, and is found nowhere else."""

import base64
import json
import os
import pty
import select
import socket
import subprocess
import termios
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fakes.socks5_server import Act, FakeServer, Script, Stage
from integration.daemon import SERVER, Daemon, section, tcp
from integration.local import echoes, is_reset
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets
from sockslocal.control.client import Client

USERNAME = "ana"
CANARY = "c@n:a/r%y-ñßЖ-9fe1c7"
PATIENCE_S = 20.0


def spellings(secret: str) -> set[bytes]:
    """What a careless program makes of it: as it is, escaped, quoted for URLs, in Base64."""
    octets = secret.encode()
    login = f"{USERNAME}:{secret}".encode()
    return {
        octets,
        secret.encode("utf-16-le"),
        ascii(secret)[1:-1].encode(),
        repr(octets)[2:-1].encode(),
        json.dumps(secret)[1:-1].encode(),
        urllib.parse.quote(secret, safe="").encode(),
        urllib.parse.quote(secret).encode(),
        base64.b64encode(octets).rstrip(b"=")[:-1],
        base64.b64encode(login)[8:-4],
        octets.hex().encode(),
    }


def shows(text: bytes) -> bool:
    """Whether `text` has the canary in any spelling."""
    return any(spelling in text for spelling in spellings(CANARY))


def processes(pid: int) -> Iterator[bytes]:
    """Arguments and environment of a process and its children, where they can be read."""
    for process in [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]:
        for name in ("cmdline", "environ"):
            try:
                yield Path(f"/proc/{process}/{name}").read_bytes()
            except (OSError, ProcessLookupError):
                continue  # gone, or hidden even from its own user


def control_traffic(daemon: Daemon, *requests: object) -> bytes:
    """What the daemon answers to `requests` on one control connection."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(daemon.paths.runtime / "control.sock"))
        answers = sock.makefile("rb")
        received = []
        for request in requests:
            sock.sendall(json.dumps(request).encode() + b"\n")
            received.append(answers.readline())
    return b"".join(received)


def files(folder: Path, *, without: Path) -> Iterator[tuple[Path, bytes]]:
    """All regular files but one."""
    for path in folder.rglob("*"):
        if path.is_file() and path != without:
            yield path, path.read_bytes()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """It accepts the canary."""
    with FakeServer(credentials=(USERNAME.encode(), CANARY.encode())) as running:
        yield running


def go_through_everything(daemon: Daemon, server: FakeServer, port: int) -> bytes:
    """Log in, fail in every way that tells of it, reload; returns what was seen on the way."""
    seen = []
    faults = [Script(at=stage, act=Act.CLOSE) for stage in (Stage.LOGIN, Stage.REPLY, Stage.RELAY)]
    faults += [Script(at=Stage.LOGIN, act=Act.SAY, text=b"\1" + CANARY.encode()), Script(status=1)]
    for script in faults:
        server.script = script
        is_reset(port)
        seen += list(processes(daemon.pid))
        seen.append(control_traffic(daemon, {"id": 1, "do": "status"}))
    server.script = Script()
    for _ in range(3):
        Client(daemon.paths).call("credentials.changed", server=SERVER)
        seen += list(processes(daemon.pid))
    daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
    good = daemon.config.read_text()
    daemon.configure(good, "[broken")
    daemon.wait_for(lambda status: bool(status.problems))
    seen.append(control_traffic(daemon, {"id": 1, "do": "watch"}, {"id": 2, "do": CANARY[:3]}))
    daemon.configure(good)
    daemon.wait_for(lambda status: not status.problems)
    for words in (
        ["status"],
        ["status", "--json"],
        ["server", "list"],
        ["forward", "list"],
        ["config", "check"],
    ):
        done = daemon.cli(*words)
        seen.append((done.stdout + done.stderr).encode())
    return b"\n".join(seen)


@pytest.mark.parametrize("source", ["file", "command"])
def test_the_canary_sings_nowhere(daemon: Daemon, server: FakeServer, targets: Targets, source: str) -> None:
    """Not in logs at debug level, argv, environ, status, control traffic, what commands print, or files."""
    port = free_port()
    kept = daemon.folder / "password"
    kept.write_text(CANARY + "\n")
    kept.chmod(0o600)
    where = f"file:{kept}" if source == "file" else f"command:cat {kept}"
    address = f"{LOOPBACK}:{server.port}"
    daemon.configure(
        section(f"server.{SERVER}", address=address, username=USERNAME, password_from=where, udp_probe="off"),
        tcp("echo", port, targets.echo_port),
    )
    daemon.start()
    assert echoes(port)
    assert server.sessions[-1].login == (USERNAME.encode(), CANARY.encode())

    assert not shows(go_through_everything(daemon, server, port))
    assert daemon.cli("stop").returncode == 0
    for path, content in files(daemon.folder, without=kept):
        assert not shows(content), path


def run_on_terminal(daemon: Daemon, typed: str, *words: str) -> str:
    """Run a command that asks for a password on a terminal of its own; returns what was shown there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *daemon.command(*words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **daemon.environment},
    )
    os.close(theirs)
    shown, asked, deadline = b"", False, time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 1 << 16)
            elif process.poll() is not None:
                break
            if not asked and b"assword" in shown and not _echoes(ours):
                os.write(ours, typed.encode() + b"\n")
                asked = True
    except OSError:  # the terminal has no other side any more
        pass
    finally:
        os.close(ours)
    assert process.wait(PATIENCE_S) == 0, shown
    return shown.decode()


def _echoes(terminal: int) -> bool:
    """Whether what is typed is shown; while a password is asked for it is not."""
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def test_a_password_asked_for_is_only_in_memory(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """`start` asks and hands it on: the daemon in the background logs in, and nothing else ever has it."""
    port = free_port()
    address = f"{LOOPBACK}:{server.port}"
    daemon.configure(
        section(
            f"server.{SERVER}", address=address, username=USERNAME, password_from="prompt", udp_probe="off"
        ),
        tcp("echo", port, targets.echo_port),
    )
    shown = run_on_terminal(daemon, CANARY, "start", "--level", "debug")
    try:
        assert echoes(port), shown
        pid = daemon.status().daemon.pid
        assert not shows(shown.encode())
        assert not shows(b"\n".join(processes(pid)))
    finally:
        assert daemon.cli("stop").returncode == 0
    for path, content in files(daemon.folder, without=daemon.config):
        assert not shows(content), path


def test_memory_stays_where_it_is(daemon: Daemon) -> None:
    """No core file, and no debugger of the same user: the password is in there."""
    daemon.configure("")
    daemon.start()
    limits = Path(f"/proc/{daemon.pid}/limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]
    owner = Path(f"/proc/{daemon.pid}/environ").stat().st_uid
    assert owner == 0, "what cannot be dumped belongs to root"


def test_the_finder_finds(daemon: Daemon) -> None:
    """The search of this file would see what it looks for."""
    for spelling in spellings(CANARY):
        assert shows(b"before" + spelling + b"after")
    daemon.configure("")
    daemon.start()
    assert b"\0-m\0sockslocal\0run\0" in b"\n".join(processes(daemon.pid))
