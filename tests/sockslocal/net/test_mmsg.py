"""What is particular to recvmmsg and sendmmsg; the contract of the engines is in test_datagrams.py."""

import ctypes
import errno
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.sockets import closing
from sockslocal.net import mmsg
from sockslocal.net.datagrams import MAX_DATAGRAM, SLOTS
from sockslocal.net.mmsg import MmsgBatch

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two datagram sockets that are connected with each other."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.setblocking(False)
    other.setblocking(False)
    with closing(one, other):
        yield one, other


def counting(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    """What the system call `name` gave each time."""
    call = getattr(mmsg, name)
    results: list[int] = []

    def counted(*arguments: Any) -> int:
        results.append(call(*arguments))
        return results[-1]

    monkeypatch.setattr(mmsg, name, counted)
    return results


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: Callable[[int], int]) -> list[int]:
    """Have the system call `name` fail; `error` gives errno for the call of that number. Gives the errors."""
    errors: list[int] = []

    def fail(*_arguments: Any) -> int:
        errors.append(error(len(errors)))
        ctypes.set_errno(errors[-1])
        return -1

    monkeypatch.setattr(mmsg, name, fail)
    return errors


def loaded(pair: Pair, count: int) -> MmsgBatch:
    """A batch that has received `count` datagrams."""
    batch = MmsgBatch()
    for start in range(0, count, 8):
        for number in range(start, min(start + 8, count)):
            pair[0].send(bytes([number]))
    assert batch.receive(pair[1]) == count
    return batch


def test_two_system_calls_a_batch(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole batch is received by one call and sent on by another."""
    received, sent = counting(monkeypatch, "_recvmmsg"), counting(monkeypatch, "_sendmmsg")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.setblocking(False)
        here.bind(("127.0.0.1", 0))
        here.connect(here.getsockname())
        for number in range(SLOTS):
            here.send(bytes([number]))
        batch = MmsgBatch()
        batch.receive(here)
        assert batch.send(here, range(SLOTS), header=b"header") == SLOTS
    assert received == [SLOTS]
    assert sent == [SLOTS]


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOBUFS])
def test_full(pair: Pair, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """Where the socket or the interface takes no more, the rest of the run is dropped after one call."""
    batch = loaded(pair, 8)
    errors = failing(monkeypatch, "_sendmmsg", lambda _call: error)
    assert batch.send(pair[1], range(8)) == 0
    assert len(errors) == 1


def test_nothing_can_be_sent(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each datagram has an error of its own, each is tried twice: the first may be an older one's."""
    batch = loaded(pair, 8)
    errors = failing(monkeypatch, "_sendmmsg", lambda _call: errno.ENETUNREACH)
    assert batch.send(pair[1], range(8)) == 0
    assert len(errors) == 16


def test_an_older_error_in_mid_run(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that comes between two datagrams of a run, and is an older one's, costs neither."""
    batch = loaded(pair, 8)
    send = mmsg._sendmmsg
    script = [1, errno.ECONNREFUSED, 2, errno.ECONNREFUSED, 5]

    def scripted(fd: int, address: int, count: int, flags: int) -> int:
        step = script.pop(0)
        if step == errno.ECONNREFUSED:
            ctypes.set_errno(step)
            return -1
        return int(send(fd, address, min(step, count), flags))

    monkeypatch.setattr(mmsg, "_sendmmsg", scripted)
    assert batch.send(pair[1], range(8)) == 8
    assert [pair[0].recv(9) for _ in range(8)] == [bytes([number]) for number in range(8)]


def test_errors_before_a_datagram(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of earlier sends are passed over until there is a datagram or none."""
    pair[0].send(b"x")
    receive = mmsg._recvmmsg
    calls: list[int] = []

    def twice_refused(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) <= 2:
            ctypes.set_errno(errno.ECONNREFUSED)
            return -1
        return int(receive(*arguments))

    monkeypatch.setattr(mmsg, "_recvmmsg", twice_refused)
    assert MmsgBatch().receive(pair[1]) == 1


def test_errors_without_end(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that has nothing but errors is given up after a while."""
    errors = failing(monkeypatch, "_recvmmsg", lambda _call: errno.ECONNREFUSED)
    assert MmsgBatch().receive(pair[1]) == 0
    assert len(errors) == SLOTS


def resident(address: int) -> int:
    """How many octets are in memory of the mapping that holds `address`, and those merged with it."""
    found = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            found = int(head[1], 16) <= address < int(head[2], 16)
        elif found and line.startswith("Rss:"):
            return 1024 * int(line.split()[1])
    raise AssertionError("no such mapping")


def test_memory_is_taken_as_needed() -> None:
    """A batch has room for 64 datagrams of the largest size, and takes memory as far as they reach."""
    batch = MmsgBatch()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.setblocking(False)
        here.bind(("127.0.0.1", 0))
        here.connect(here.getsockname())
        before = resident(batch._base)
        for _ in range(SLOTS):
            here.send(bytes(100))
        assert batch.receive(here) == SLOTS
        assert len(batch._bytes) >= SLOTS * MAX_DATAGRAM
        assert resident(batch._base) - before < SLOTS * MAX_DATAGRAM // 3


def test_layouts() -> None:
    """The structures are as large as the kernel's, on 64-bit and 32-bit systems."""
    word = ctypes.sizeof(ctypes.c_void_p)
    assert ctypes.sizeof(mmsg._Iovec) == 2 * word
    assert ctypes.sizeof(mmsg._Msghdr) == 7 * word
    assert ctypes.sizeof(mmsg._Mmsghdr) == 8 * word
