"""`doctor` beside a real daemon: one that is well, one that is stuck, and a bundle without the password."""

import json
import os
import signal
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.session_bus import session_bus
from fakes.session_keyring import MISSING, gnome_keyring
from fakes.socks5_server import FakeServer
from integration.daemon import SERVER, Daemon, section, tcp
from integration.local import echoes
from integration.servers.process import LOOPBACK, free_port
from integration.servers.targets import Targets
from sockslocal import credentials
from sockslocal.secret import Secret

CANARY = "c@n:a/r%y-ñßЖ-9fe1c7"


def examined(daemon: Daemon, *words: str, code: int) -> dict[str, dict[str, Any]]:
    """All checks by their ids."""
    done = daemon.cli("doctor", "--json", *words, seconds=90)
    assert done.returncode == code, done.stdout + done.stderr
    return {check["id"]: check for part in json.loads(done.stdout)["sections"] for check in part["checks"]}


def configure(daemon: Daemon, server: FakeServer, port: int, target: int) -> None:
    """A server that wants the canary, and a forward."""
    address = f"{LOOPBACK}:{server.port}"
    daemon.configure(daemon.server(address, username="ana", password=CANARY), tcp("echo", port, target))


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """It accepts the canary."""
    with FakeServer(credentials=(b"ana", CANARY.encode())) as running:
        yield running


def test_all_is_well_and_told_to_nobody_else(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """Every stage of the server passes, and the bundle has no password."""
    port = free_port()
    configure(daemon, server, port, targets.echo_port)
    daemon.start("--log-to-file")
    assert echoes(port)
    bundle = daemon.folder / "report.zip"
    found = examined(daemon, "--bundle", str(bundle), code=0)
    stages = ("look-up", "connection", "greeting", "login", "round-trip")
    good = [*(f"server.{SERVER}.{stage}" for stage in stages), "ports.echo", f"keyring.{SERVER}"]
    assert {found[name]["verdict"] for name in good} == {"good"}
    with zipfile.ZipFile(bundle) as file:
        texts = {name: file.read(name).decode() for name in file.namelist()}
    assert f'address = "{LOOPBACK}:{server.port}"' in texts["sockslocal/config.toml"]
    assert "listening" in texts["sockslocal/log.txt"]
    assert not any(CANARY in text or ascii(CANARY)[1:-1] in text for text in texts.values())


def test_a_server_that_is_gone(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """The stage that fails is named, with what mends it."""
    configure(daemon, server, free_port(), targets.echo_port)
    daemon.start()
    daemon.wait_for(lambda status: status.servers[SERVER].state == "up")
    server.stop()
    found = examined(daemon, code=1)
    assert found[f"server.{SERVER}.look-up"]["verdict"] == "good"
    assert "cannot be connected to" in found[f"server.{SERVER}.connection"]["text"]


def test_a_password_that_is_wrong(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """It is there to be read, and rejected."""
    configure(daemon, server, free_port(), targets.echo_port)
    (daemon.folder / "password").write_text("wrong")
    daemon.start()
    daemon.wait_for(lambda status: status.servers[SERVER].state == "auth-failed")
    found = examined(daemon, code=1)
    assert found[f"keyring.{SERVER}"]["verdict"] == "good"
    assert "rejected" in found[f"server.{SERVER}.login"]["text"]


def test_a_daemon_that_is_stuck(daemon: Daemon, server: FakeServer, targets: Targets) -> None:
    """All that can be seen without it is looked at; the ports that it holds are its own."""
    configure(daemon, server, free_port(), targets.echo_port)
    daemon.start()
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        found = examined(daemon, code=1)
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert found["daemon.not-answering"]["remedy"].endswith("restart")
    assert found["ports.echo"]["verdict"] == "good"
    assert found["server"]["verdict"] == "unknown"


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_a_locked_keyring_is_seen_without_a_prompt(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlocked, it has the password; locked, the remedy says so."""
    daemon.configure(section(f"server.{SERVER}", address=f"{LOOPBACK}:1", username="ana"))
    with session_bus(tmp_path) as bus:
        for name, value in bus.environment.items():
            monkeypatch.setenv(name, value)
        with gnome_keyring(bus) as keyring:
            credentials.store(SERVER, "ana", Secret(CANARY))
            assert examined(daemon, code=0)[f"keyring.{SERVER}"]["verdict"] == "good"
            keyring.lock()
            locked = examined(daemon, code=1)[f"keyring.{SERVER}"]
            assert (locked["verdict"], locked["text"].split()[-2:]) == ("bad", ["is", "locked"])
            assert not keyring.is_unlocked()
