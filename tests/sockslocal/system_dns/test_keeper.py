"""Real processes: a resolver that is killed, and the keeper that notices."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.dns_program import Answer, Server
from fakes.system_dns import NFTABLES, Machine, with_a_port, with_resolved
from fakes.system_dns_helper import machine_below
from fakes.waiting import wait_until
from sockslocal.system_dns import backends, keeper, state
from sockslocal.system_dns.keeper import Keeper, is_kept
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction

TESTS = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}


@contextlib.contextmanager
def resolver() -> "Iterator[tuple[subprocess.Popen[str], int]]":
    """A process that answers, and its port."""
    command = [sys.executable, "-m", "fakes.dns_program"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def helper(root: Path, *arguments: str) -> str:
    """What the helper tells; that it returns shows that its keeper holds none of its streams."""
    command = [sys.executable, "-m", "fakes.system_dns_helper", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT, timeout=60)
    return done.stdout


def test_when_the_resolver_is_killed_all_is_restored(tmp_path: Path) -> None:
    """By `kill -9`, without anybody's doing."""
    before = with_resolved(tmp_path).picture()
    with resolver() as (process, port):
        assert "systemd-resolved" in helper(tmp_path, "apply", str(port))
        machine = machine_below(tmp_path)
        path = Store(tmp_path).path
        wait_until(lambda: is_kept(path), seconds=20, what="there is a keeper")
        assert machine.is_ours
        assert state.text(state.look(machine.system)) == f"asks 127.0.0.1:{port}, by systemd-resolved"
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not is_kept(path), seconds=30, what="the keeper has done its work")
    assert machine.picture() == before
    assert Store(tmp_path).read() is None


def test_a_keeper_ends_when_somebody_else_restores(tmp_path: Path) -> None:
    """There is nothing left to keep."""
    before = with_resolved(tmp_path).picture()
    with resolver() as (_, port):
        helper(tmp_path, "apply", str(port))
        path = Store(tmp_path).path
        wait_until(lambda: is_kept(path), seconds=20, what="there is a keeper")
        helper(tmp_path, "restore")
        wait_until(lambda: not is_kept(path), seconds=30, what="the keeper is gone")
    assert machine_below(tmp_path).picture() == before


@pytest.fixture
def switched(tmp_path: Path) -> "Iterator[tuple[Machine, Transaction, Server]]":
    """A machine that asks a resolver of this process."""
    with Server(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            machine = with_resolved(tmp_path)
            transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
            yield machine, transaction, server
        finally:
            server.shutdown()
            thread.join()


def apply(transaction: Transaction, server: Server) -> Keeper:
    """The keeper of a new switching."""
    applied = transaction.apply(int(server.server_address[1]), fail_open=True)
    return Keeper(transaction, applied.journal, lambda: True)


def test_a_resolver_that_hangs_is_gone(
    switched: tuple[Machine, Transaction, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the connection, and answers nothing."""
    machine, transaction, server = switched
    hanging = threading.Event()
    monkeypatch.setattr(Answer, "handle", lambda _: hanging.wait(30))
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.1)
    apply(transaction, server).keep()
    hanging.set()
    assert not machine.is_ours


def test_where_port_53_leads_nowhere_any_more_all_is_restored(
    switched: tuple[Machine, Transaction, Server], tmp_path: Path
) -> None:
    """The resolver is there, but what leads to it is gone: a firewall was loaded anew."""
    server = switched[2]
    machine = with_a_port(tmp_path / "other")
    before = machine.picture()
    machine.port = int(server.server_address[1])
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    journal = transaction.apply(machine.port, fail_open=True, last_resort=True).journal
    (machine.root / NFTABLES).unlink()
    Keeper(transaction, journal, lambda: True).keep()
    assert machine.picture() == before


def test_a_resolver_that_ends_idle_connections_is_not_gone(
    switched: tuple[Machine, Transaction, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is connected to again; only somebody's `restore` ends the keeper."""
    machine, transaction, server = switched
    connections = []

    def answer_once(self: Answer) -> None:
        connections.append(self)
        head = self.request.recv(2)
        self.request.sendall(head + self.request.recv(512))
        if len(connections) == 3:
            assert machine.is_ours
            transaction.restore()

    monkeypatch.setattr(Answer, "handle", answer_once)
    apply(transaction, server).keep()
    assert len(connections) >= 3


def test_another_users_resolver_is_not_trusted(
    switched: tuple[Machine, Transaction, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the port when the resolver has ended gets nobody's names."""
    machine, transaction, server = switched
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.1)
    journal = transaction.apply(int(server.server_address[1]), fail_open=True).journal
    Keeper(transaction, journal, lambda: False).keep()
    assert not machine.is_ours


def test_what_cannot_be_restored_is_tried_again(
    switched: tuple[Machine, Transaction, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it can."""
    machine, transaction, server = switched
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.1)
    kept = apply(transaction, server)
    failing = "systemctl try-restart systemd-resolved.service"
    machine.failing = {failing}
    monkeypatch.setattr(time, "sleep", lambda _: machine.failing.discard(failing))
    monkeypatch.setattr(kept, "_may_answer", lambda: False)
    kept.keep()
    assert transaction.store.read() is None


def test_a_late_keeper_leaves_the_next_switching_alone(
    switched: tuple[Machine, Transaction, Server],
) -> None:
    """It ends, and restores nothing."""
    machine, transaction, server = switched
    late = apply(transaction, server)
    apply(transaction, server)
    late.keep()
    assert machine.is_ours


def test_without_a_folder_there_is_no_keeper(tmp_path: Path) -> None:
    """As on a machine that was never switched."""
    assert not is_kept(Store(tmp_path).path)
