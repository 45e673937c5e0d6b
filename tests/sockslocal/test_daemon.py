import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dns.message import make_query
from dns.query import tcp as tcp_query
from dns.query import udp

from fakes.processes import pid_in, wait_for_end
from fakes.service_manager import handing_over, service_manager
from fakes.socks5_server import FakeServer
from fakes.targets import tcp_echo
from fakes.waiting import wait_until
from integration.daemon import Daemon, dns, section, tcp
from integration.servers.process import free_port
from sockslocal import daemon as module
from sockslocal.control import endpoint
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError
from sockslocal.service_manager import ServiceManager

# The daemon as it is, but for what a test says in the environment: seconds, a password, an edit.
PROGRAM = """
import os, socket, sys, time
from sockslocal import daemon
from sockslocal.errors import SockslocalError
from sockslocal.paths import find
from sockslocal.secret import Secret
from sockslocal.supervisor import Supervisor

daemon.GRACE_S = float(os.environ.get("TEST_GRACE_S", "5"))
daemon.LOOK_S = float(os.environ.get("TEST_LOOK_S", "0.02"))
load = daemon.load

def load_and_edit(path):
    config = load(path)
    if edit := os.environ.get("TEST_EDIT"):
        path.write_text(edit)
    return config

daemon.load = load_and_edit
if "TEST_SILENT_RESOLVER" in os.environ:
    socket.getaddrinfo = lambda *_, **__: time.sleep(3600)
if "TEST_BUG" in os.environ:
    Supervisor.apply = lambda self, config: 1 / 0
secrets = {"office": Secret(os.environ["TEST_PASSWORD"])} if "TEST_PASSWORD" in os.environ else {}
try:
    sys.exit(daemon.run(find(), log_to_stderr=True, level="DEBUG", secrets=secrets))
except SockslocalError as error:
    print(error.problem.code, error, file=sys.stderr)
    sys.exit(error.exit_code)
"""

NOISE = ("ResourceWarning", "Traceback", "never retrieved", "never awaited", "Task was destroyed")


class Child(Daemon):
    """The daemon in a process of its own, in Python's development mode: it tells of all that it leaks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings: dict[str, str] = {}

    def command(self, *_words: str) -> list[str]:
        """How it is started."""
        return [sys.executable, "-X", "dev", "-c", PROGRAM]

    @property
    def environment(self) -> dict[str, str]:
        """Its places, and what is otherwise than in a user's."""
        return super().environment | self.settings

    def ended(self, seconds: float = 15.0) -> int:
        """Its exit code; by then nothing of it is left, and it had nothing to complain of."""
        code = self.process.wait(seconds)
        output = self.process.output_path.read_text()
        assert not any(noise in output for noise in NOISE), output
        assert not (self.paths.runtime / "control.sock").exists()
        assert endpoint.holder(self.paths) is None
        return code

    def run(self) -> "subprocess.CompletedProcess[str]":
        """What becomes of one that ends by itself."""
        environment = os.environ | self.environment
        return subprocess.run(
            self.command(), capture_output=True, text=True, timeout=30, check=False, env=environment
        )


@pytest.fixture
def child() -> Iterator[Child]:
    """A daemon that is not started yet, in a folder with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="sl"))
    with Child(folder) as daemon:
        daemon.configure("")
        yield daemon
    shutil.rmtree(folder)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


@contextlib.contextmanager
def forwarding(child: Child, server: FakeServer) -> Iterator[int]:
    """The daemon, started, with a forward to an echo; gives the forward's port."""
    port = free_port()
    with tcp_echo() as echo:
        office = child.server(f"127.0.0.1:{server.port}", username="ana", password="hunter2")
        child.configure(office, tcp("db", port, echo[1]))
        child.start()
        child.wait_for(lambda status: status.servers["office"].state == "up")
        yield port


def connected(port: int) -> socket.socket:
    """A connection that is relayed."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    echoes(connection)
    return connection


def echoes(connection: socket.socket) -> None:
    """It lives."""
    connection.sendall(b"ping")
    assert connection.recv(4, socket.MSG_WAITALL) == b"ping"


def wait_for_refusal(port: int) -> None:
    """Wait until the forward accepts no more."""

    def refuses() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=10).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refuses, seconds=10, what="the forward accepts no more")


def is_reset(connection: socket.socket) -> bool:
    """Whether the connection ends with RST."""
    try:
        return connection.recv(1) == b"?"
    except ConnectionResetError:
        return True


# starting


def test_an_empty_configuration_is_enough(child: Child) -> None:
    """It starts, answers, and ends with 0 and without a trace."""
    child.start()
    status = child.status()
    assert status.daemon.pid == child.pid
    assert (status.servers, status.forwards, status.dns) == ({}, {}, None)
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def test_what_a_killed_one_was_writing_is_removed(child: Child) -> None:
    """It is as private as the file that it would have become; what others have there stays."""
    child.paths.state.mkdir()
    token = ".0123456789abcdef"
    names = [f".{path.name}{token}" for path in (child.paths.switches, child.paths.answers)]
    for name in (*names, f".notes{token}"):
        (child.paths.state / name).touch()
    child.start()
    assert [path.name for path in child.paths.state.iterdir()] == [f".notes{token}"]
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def test_there_is_only_one(child: Child) -> None:
    """The second one says who runs already, and leaves the first as it was."""
    child.start()
    second = child.run()
    assert second.returncode == 1
    assert f"sockslocal runs already as process {child.pid}" in second.stderr
    assert child.status().daemon.pid == child.pid
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


@pytest.mark.parametrize(("config", "code"), [("nonsense = [", "config-invalid"), (None, "config-missing")])
def test_a_bad_configuration_keeps_it_from_starting(child: Child, config: str | None, code: str) -> None:
    """One error, with the exit code for configurations, and nothing left behind."""
    if config is None:
        child.config.unlink()
    else:
        child.config.write_text(config)
    ended = child.run()
    assert ended.returncode == 4
    assert ended.stderr.startswith(code)
    assert not (child.paths.runtime / "control.sock").exists()


def test_a_bug_at_the_start_is_an_end_in_order(child: Child) -> None:
    """Whatever had been opened by then is closed."""
    child.settings["TEST_BUG"] = "yes"
    ended = child.run()
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr
    assert "ResourceWarning" not in ended.stderr
    assert "sockslocal is down" in ended.stderr
    assert endpoint.holder(child.paths) is None


def test_a_password_that_was_asked_for(child: Child, server: FakeServer) -> None:
    """`prompt` passwords come from whoever started the daemon; they are in no log and no status."""
    child.settings["TEST_PASSWORD"] = "hunter2"
    child.configure(
        section("server.office", address=f"127.0.0.1:{server.port}", username="ana", password_from="prompt")
    )
    child.start()
    child.wait_for(lambda status: status.servers["office"].state == "up")
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0
    assert "hunter2" not in child.log()


# reloading


def test_an_edit_is_noticed(child: Child) -> None:
    """And a bad one is shown, until it is mended, while the daemon goes on."""
    child.start()
    office = child.server("127.0.0.1:1")
    child.configure(office)
    child.wait_for(lambda status: "office" in status.servers)
    child.configure(office, "nonsense = [")
    child.wait_for(lambda status: bool(status.problems))
    assert list(child.status().servers) == ["office"]
    assert "the configuration stays as it was" in child.log()
    child.configure(office.replace("office", "home"))
    child.wait_for(lambda status: not status.problems and list(status.servers) == ["home"])
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def test_an_edit_while_it_starts_is_noticed(child: Child) -> None:
    """Between reading the file and the first look at it."""
    child.settings["TEST_EDIT"] = child.server("127.0.0.1:1")
    child.start()
    child.wait_for(lambda status: "office" in status.servers)
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def test_sighup_reloads_at_once(child: Child) -> None:
    """Where the file is looked at too seldom for somebody."""
    if sys.platform == "win32":
        pytest.skip("there is no such signal on Windows")
    child.settings["TEST_LOOK_S"] = "3600"
    child.start()
    child.configure(child.server("127.0.0.1:1"))
    child.process.signal(signal.SIGHUP)
    child.wait_for(lambda status: "office" in status.servers)
    child.configure("nonsense = [")
    child.process.signal(signal.SIGHUP)
    child.wait_for(lambda status: bool(status.problems))
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


class Looks:
    """What each look at the file finds; the last one ends the watch."""

    def __init__(self, *found: module.Signature) -> None:
        self.left = list(found)

    def __call__(self, _path: Path) -> module.Signature:
        if not self.left:
            raise asyncio.CancelledError
        return self.left.pop(0)


def reloading(supervisor: Any) -> Callable[[], None]:
    """What has `supervisor` read the file again; no manager is told."""
    return partial(module._reload, supervisor, ServiceManager())


class Reloads:
    """In place of a supervisor: counts, and at each remembers how many looks were left."""

    def __init__(self, looks: Looks, *, error: Exception | None = None) -> None:
        self.looks = looks
        self.error = error
        self.at: list[int] = []

    def reload(self) -> list[str]:
        self.at.append(len(self.looks.left))
        if self.error is not None:
            raise self.error
        return []


@pytest.mark.parametrize(
    ("found", "at"),
    [
        ([(1,), (1,), (1,)], []),
        ([(2,), (2,), (2,), (2,)], [2]),
        ([(2,), (3,), (4,), (4,), (4,)], [1]),
        ([(0,), (2,), (2,)], [0]),
        ([(2,), (2,), (1,), (1,)], [2, 0]),
        ([None, (2,), (2,)], [0]),
        ([None, None, (2,), (2,)], [2, 0]),
        ([(2,), (1,), (1,)], []),
    ],
)
def test_a_change_is_applied_once_it_has_come_to_rest(
    found: list[module.Signature], at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two looks have to agree: a file that an editor has emptied before writing it is not applied."""
    looks = Looks(*found)
    reloads: Any = Reloads(looks)
    monkeypatch.setattr(module, "_signature", looks)
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(module._watch(reloading(reloads), Path("config.toml"), (1,)))
    assert reloads.at == at


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (ConfigError.of("config-missing", path="config.toml"), "stays as it was: there is no config.toml"),
        (MemoryError("a bug"), "the configuration cannot be applied"),
    ],
)
def test_a_bad_file_does_not_end_the_watch(
    error: Exception, logged: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does a bug on the way: it is logged, and the next change is tried."""
    looks = Looks((2,), (2,), (3,), (3,))
    reloads: Any = Reloads(looks, error=error)
    monkeypatch.setattr(module, "_signature", looks)
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(module._watch(reloading(reloads), Path("config.toml"), (1,)))
    assert len(reloads.at) == 2
    assert caplog.text.count(logged) == 2


def test_what_a_signature_tells_apart(tmp_path: Path) -> None:
    """Content, permission and the file itself; one that is not there has none."""
    path = tmp_path / "config.toml"
    signatures = [module._signature(path)]
    path.write_text("a")
    signatures.append(module._signature(path))
    path.write_text("ab")
    signatures.append(module._signature(path))
    path.chmod(0o000)
    signatures.append(module._signature(path))
    other = tmp_path / "draft"
    other.write_text("ab")
    other.replace(path)
    signatures.append(module._signature(path))
    assert signatures[0] is None
    assert len(set(signatures)) == len(signatures)


# the service manager

needs_manager = pytest.mark.skipif(sys.platform == "win32", reason="there is no such manager on Windows")


@needs_manager
def test_the_service_manager_is_told_how_it_goes(child: Child, server: FakeServer) -> None:
    """Ready when the forward listens; then what changes, a reload, that it lives, and the end."""
    with service_manager(child.folder) as told:
        child.settings |= {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": "200000", "TEST_GRACE_S": "7"}
        with forwarding(child, server):
            told.wait_for("STATUS=1 of 1 forwards up")
            assert told.lines.index("READY=1") > 0
            assert all("forwards up" in line for line in told.lines[: told.lines.index("READY=1")])
            told.wait_for("WATCHDOG=1")
            child.configure(child.server(f"127.0.0.1:{server.port}", username="ana", password="hunter2"))
            told.wait_for("STATUS=nothing to forward")
            reload = next(number for number, line in enumerate(told.lines) if line == "RELOADING=1")
            assert told.lines[reload + 1].startswith("MONOTONIC_USEC=")
            wait_until(lambda: "READY=1" in told.lines[reload:], seconds=10, what="the reload is over")
            child.process.signal(signal.SIGTERM)
            assert child.ended() == 0
        assert told.lines[told.lines.index("STOPPING=1") + 1] == "EXTEND_TIMEOUT_USEC=17000000"


@needs_manager
def test_a_daemon_that_hangs_says_nothing(child: Child) -> None:
    """So that the manager restarts it."""
    with service_manager(child.folder) as told:
        child.settings |= {"NOTIFY_SOCKET": told.address, "WATCHDOG_USEC": "100000"}
        child.start()
        told.wait_for("WATCHDOG=1")
        child.process.signal(signal.SIGSTOP)
        wait_until(lambda: _is_stopped(child.pid), seconds=10, what="it hangs")
        before = len(told.lines)
        time.sleep(0.5)  # for nothing to happen in
        assert len(told.lines) == before
        child.process.signal(signal.SIGCONT)
        wait_until(lambda: len(told.lines) > before, seconds=10, what="it goes on")


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@needs_manager
def test_sockets_that_are_handed_over_are_listened_on(child: Child) -> None:
    """Also after reloads that leave them, and take them again; what nothing listens on is told."""
    port, other = free_port(), free_port()
    child.configure(_resolver(port))
    places = (f"udp,127.0.0.1,{port}", f"tcp,127.0.0.1,{port}", f"tcp,127.0.0.1,{other}")
    child.start(prefix=handing_over(*places))
    assert child.log().count(f"handed over 127.0.0.1:{other}, which is closed") == 1
    _answers(port)
    elsewhere = free_port()
    child.configure(_resolver(elsewhere))
    wait_until(lambda: _listens(child, elsewhere), seconds=10, what="it listens elsewhere")
    _answers(elsewhere)
    child.configure(_resolver(port))
    wait_until(lambda: _listens(child, port), seconds=10, what="it listens there again")
    _answers(port)
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def _resolver(port: int) -> str:
    rules = section("dns.rules", **{"dev.test": "192.0.2.7"}).replace("dev.test", '"dev.test"')
    return "\n".join((section("server.office", address="127.0.0.1:1"), dns(port, "tcp://192.0.2.1"), rules))


def _listens(child: Child, port: int) -> bool:
    shown = child.status().dns
    return shown is not None and (shown.listen, shown.state) == (f"127.0.0.1:{port}", "listening")


def _answers(port: int) -> None:
    query = make_query("dev.test", "A")
    for ask in (udp, tcp_query):
        assert "192.0.2.7" in str(ask(query, "127.0.0.1", port=port, timeout=10))


def test_the_passwords_process_knows_nothing_of_the_manager(child: Child) -> None:
    """Else it could speak in the daemon's name, and would hold what was handed over."""
    found = child.folder / "environment"
    password = f"command:sh -c 'env > {found}.new; mv {found}.new {found}; exec sleep 3600'"
    child.settings |= {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000"}
    child.configure(section("server.office", address="127.0.0.1:1", username="ana", password_from=password))
    child.start(prefix=handing_over(f"udp,127.0.0.1,{free_port()}"))
    wait_until(found.exists, seconds=10, what="the command runs")
    variables = found.read_text().splitlines()
    assert not [line for line in variables if line.startswith(("NOTIFY_", "LISTEN_", "WATCHDOG_"))]
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


# ending


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_connections_end(child: Child, server: FakeServer, number: signal.Signals) -> None:
    """No new ones are accepted; one that ends in time is not cut, and then the daemon waits no longer."""
    child.settings["TEST_GRACE_S"] = "3600"
    with forwarding(child, server) as port, connected(port) as connection:
        child.process.signal(number)
        wait_for_refusal(port)
        echoes(connection)
        assert child.status().daemon.pid == child.pid
        connection.sendall(b"last")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100, socket.MSG_WAITALL) == b"last"
        assert child.ended() == 0


def test_what_does_not_end_is_cut(child: Child, server: FakeServer) -> None:
    """With RST, when the time is over."""
    child.settings["TEST_GRACE_S"] = "0.3"
    with forwarding(child, server) as port, connected(port) as connection:
        child.process.signal(signal.SIGTERM)
        assert is_reset(connection)
        assert child.ended() == 0


def test_a_second_signal_ends_it_at_once(child: Child, server: FakeServer) -> None:
    """Whatever is still open."""
    child.settings["TEST_GRACE_S"] = "3600"
    with forwarding(child, server) as port, connected(port) as connection:
        child.process.signal(signal.SIGTERM)
        wait_for_refusal(port)
        echoes(connection)
        child.process.signal(signal.SIGTERM)
        assert is_reset(connection)
        assert child.ended() == 0


@pytest.mark.parametrize("grace", [0.0, 3600.0])
def test_it_may_be_asked_to_stop(child: Child, server: FakeServer, grace: float) -> None:
    """With as much time for connections as whoever asks has; asked again, it ends at once."""
    with forwarding(child, server) as port, connected(port) as connection:
        assert Client(child.paths).call("stop", grace=grace) is True
        if grace:
            wait_for_refusal(port)
            echoes(connection)
            assert Client(child.paths).call("stop", grace=grace) is True
        assert is_reset(connection)
        assert child.ended() == 0


def test_nothing_is_left_of_a_password_that_is_being_read(child: Child, server: FakeServer) -> None:
    """The child process that reads it ends with the daemon, and so does the command that it has started."""
    pid = child.folder / "pid"
    child.configure(
        section(
            "server.office",
            address=f"127.0.0.1:{server.port}",
            username="ana",
            password_from=f"command:sh -c 'echo $$ > {pid}; exec sleep 3600'",
        )
    )
    child.start()
    wait_until(lambda: pid_in(pid) is not None, seconds=10, what="the command runs")
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0
    wait_for_end(pid)


def test_a_silent_resolver_does_not_keep_it(child: Child) -> None:
    """The question where the server is may take the system half a minute; nobody waits for it."""
    child.settings["TEST_SILENT_RESOLVER"] = "yes"
    child.configure(child.server("proxy.test:1080"))
    child.start()
    child.wait_for(lambda status: status.servers["office"].state == "connecting")
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def test_a_daemon_that_is_killed_hinders_no_other(child: Child) -> None:
    """What it left behind is taken over by the next one."""
    child.start()
    child.process.kill()
    assert (child.paths.runtime / "control.sock").exists()
    child.start()
    assert child.status().daemon.pid == child.pid
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0


def test_clients_that_watch_do_not_keep_it(child: Child) -> None:
    """They see the end of their connection."""
    child.start()
    watching = Client(child.paths).watch()
    next(watching)
    child.process.signal(signal.SIGTERM)
    assert child.ended() == 0
    watching.close()  # type: ignore[attr-defined]  # it is a generator
