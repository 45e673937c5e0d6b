import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes.service_manager import handing_over, service_manager
from integration.servers.process import free_port
from sockslocal import service_manager as module
from sockslocal.service_manager import ServiceManager, take_sockets

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such manager on Windows")

VARIABLES = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)


@pytest.fixture(autouse=True)
def _no_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has started the tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def of(monkeypatch: pytest.MonkeyPatch, **variables: object) -> ServiceManager:
    """The manager as the environment has it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return ServiceManager.of_environment()


# what it is told


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_by_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> None:
    """One that has a file, or a name in the abstract namespace."""
    with service_manager(tmp_path, abstract=abstract) as told:
        manager = of(monkeypatch, NOTIFY_SOCKET=told.address)
        assert manager.listens
        manager.ready()
        manager.status("1 of 1 forwards up")
        manager.alive()
        manager.stopping(2.5)
        assert told.lines == [
            "READY=1",
            "STATUS=1 of 1 forwards up",
            "WATCHDOG=1",
            "STOPPING=1",
            "EXTEND_TIMEOUT_USEC=2500000",
        ]


def test_a_reload_is_told_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock that the manager compares with (sd_notify(3), MONOTONIC_USEC)."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: 5_000_999)
    with service_manager(tmp_path) as told:
        of(monkeypatch, NOTIFY_SOCKET=told.address).reloading()
        assert told.lines == ["RELOADING=1", "MONOTONIC_USEC=5000"]


def test_a_status_is_told_once_and_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a server makes it say something else."""
    with service_manager(tmp_path) as told:
        manager = of(monkeypatch, NOTIFY_SOCKET=told.address)
        manager.status("up\nMAINPID=1")
        manager.status("up\nMAINPID=1")
        manager.status("down")
        assert told.lines == [r"STATUS=up\nMAINPID=1", "STATUS=down"]


def test_nobody_is_told_where_there_is_no_manager() -> None:
    """As in a terminal."""
    manager = ServiceManager.of_environment()
    assert not manager.listens
    assert manager.watchdog_s is None
    manager.ready()
    manager.reloading()


@pytest.mark.parametrize("address", ["vsock:2:1", "notify"])
def test_an_address_of_another_kind_is_left_alone(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """It is no Unix socket's, or leads elsewhere in each folder."""
    assert not of(monkeypatch, NOTIFY_SOCKET=address).listens


def test_a_manager_that_is_gone_hinders_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be restarted itself."""
    of(monkeypatch, NOTIFY_SOCKET=tmp_path / "gone").ready()


def test_a_manager_that_takes_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full."""
    monkeypatch.setattr(module, "SEND_S", 0.01)
    with service_manager(tmp_path) as told:
        manager = of(monkeypatch, NOTIFY_SOCKET=told.address)
        for _ in range(2_000):
            manager.alive()
            if _is_full(told.address):
                break
        manager.alive()


def _is_full(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(b"", address)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 30.0),
        ("30000000", "ours", 30.0),
        ("30000000", "1", None),
        ("0", "", None),
        ("-5", "", None),
        ("soon", "", None),
    ],
)
def test_how_often_it_wants_to_hear(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, seconds: float | None
) -> None:
    """In microseconds, and only from the process that it means."""
    pid = str(os.getpid()) if pid == "ours" else pid
    manager = of(monkeypatch, NOTIFY_SOCKET="/run/notify", WATCHDOG_USEC=usec, WATCHDOG_PID=pid)
    assert manager.watchdog_s == seconds


def test_without_a_socket_there_is_no_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nowhere to tell it."""
    assert of(monkeypatch, WATCHDOG_USEC="30000000").watchdog_s is None


def test_the_variables_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child would speak in our name, or take our sockets for its own."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "1")
    ServiceManager.of_environment()
    take_sockets()
    assert not set(VARIABLES) & set(os.environ)


# what it hands over

_TELL = """
import os
from sockslocal.service_manager import take_sockets
for name, sock in take_sockets():
    print(name, sock.type.name, *sock.getsockname(), os.get_inheritable(sock.fileno()))
"""


def taken(*prefix: str) -> list[str]:
    """What a process that `prefix` starts takes."""
    command = [*prefix, sys.executable, "-c", _TELL]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_sockets_are_taken_with_their_names() -> None:
    """In order; no child inherits them."""
    stream, datagram = free_port(), free_port()
    places = (f"tcp,127.0.0.1,{stream}", f"udp,127.0.0.1,{datagram}")
    assert taken(*handing_over(*places, names="a:b")) == [
        f"a SOCK_STREAM 127.0.0.1 {stream} False",
        f"b SOCK_DGRAM 127.0.0.1 {datagram} False",
    ]


def test_sockets_need_no_names() -> None:
    """Older managers give none."""
    port = free_port()
    assert taken(*handing_over(f"udp,127.0.0.1,{port}")) == [f" SOCK_DGRAM 127.0.0.1 {port} False"]


def test_what_is_handed_over_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables may have come by a shell that was meant."""
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert take_sockets() == []


def test_what_is_no_socket_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A FIFO, or a number that stands for nothing; it is told."""
    descriptor = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    monkeypatch.setattr(module, "FIRST_DESCRIPTOR", descriptor)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert take_sockets() == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert f"descriptor {descriptor} that was handed over is of no use" in caplog.text
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert take_sockets() == []


@pytest.mark.parametrize("count", ["", "0", "-1", "many"])
def test_a_number_that_is_none_means_nothing(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    """Nothing is touched."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", count)
    assert take_sockets() == []
