"""What of the poller for macOS can be tested elsewhere: how it reads the kernel's events.

Linux has no kqueue. Here the module is imported as on macOS, with the kernel's numbers (sys/event.h); that
events come at all, the contract in test_poller.py shows on macOS, where `best_poller` is this one.
"""

import importlib.util
import select
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.engine import turns
from fakes.sockets import closing
from sockslocal.net.poller import ERROR, FIN, IN, OUT, PEER_FIN, READABLE, WRITABLE

READ, WRITE = -1, -2
ADD, DELETE, CLEAR, EOF = 0x0001, 0x0002, 0x0020, 0x8000
ECONNRESET = 54


@dataclass
class Event:
    """A `kevent`."""

    ident: int
    filter: int
    flags: int = 0
    fflags: int = 0


class Kqueue:
    """A `kqueue` that remembers its changes and gives what events it was told to; a socket rings for it."""

    def __init__(self) -> None:
        self._bell, self._button = socket.socketpair()
        self.changes: list[Event] = []
        self.events: list[Event] = []
        self.closed = False

    def fileno(self) -> int:
        return self._bell.fileno()

    def control(self, changes: list[Event] | None, _limit: int, _timeout: float = 0) -> list[Event]:
        self.changes += changes or []
        events, self.events = self.events, []
        return events

    def give(self, *events: Event) -> None:
        self.events = list(events)
        self._button.send(b"x")

    def close(self) -> None:
        self.closed = True
        self._bell.close()
        self._button.close()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module as it is on macOS, and on macOS itself."""
    if sys.platform != "darwin":
        monkeypatch.setattr(sys, "platform", "darwin")
        for name, value in (
            ("KQ_FILTER_READ", READ),
            ("KQ_FILTER_WRITE", WRITE),
            ("KQ_EV_ADD", ADD),
            ("KQ_EV_DELETE", DELETE),
            ("KQ_EV_CLEAR", CLEAR),
            ("KQ_EV_EOF", EOF),
            ("kevent", Event),
            ("kqueue", Kqueue),
        ):
            monkeypatch.setattr(select, name, value, raising=False)
    spec = importlib.util.find_spec("sockslocal.net.kqueue")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bits(module: Any) -> Callable[[Event], int]:
    """The module's reading of one event."""
    reading: Callable[[Event], int] = module._bits
    return reading


@pytest.mark.skipif(sys.platform == "darwin", reason="there the contract shows it with the kernel's own")
async def test_watching(module: Any) -> None:
    """Two edges a socket; released, both are deleted; closed, the kernel forgets them by itself."""
    poller = module.KqueuePoller()
    near, far = socket.socketpair()
    told: list[int] = []
    fd = near.fileno()
    with closing(near, far):
        poller.register(near, told.append)
        assert poller._kqueue.changes == [Event(fd, READ, ADD | CLEAR), Event(fd, WRITE, ADD | CLEAR)]
        poller._kqueue.give(Event(fd, READ), Event(fd, WRITE))
        await turns()
        assert told == [IN, OUT]
        poller._kqueue.changes.clear()
        poller.release(near)
        assert poller._kqueue.changes == [Event(fd, READ, DELETE), Event(fd, WRITE, DELETE)]
        poller.register(near, told.append)
        poller._kqueue.changes.clear()
        poller.close(near)
        assert not poller._kqueue.changes
    poller.stop()
    assert not poller._poll()


def test_readable(bits: Callable[[Event], int]) -> None:
    """Something can be read."""
    assert bits(Event(7, READ)) == IN
    assert bits(Event(7, READ)) & READABLE


def test_writable(bits: Callable[[Event], int]) -> None:
    """There is room."""
    assert bits(Event(7, WRITE)) == OUT
    assert bits(Event(7, WRITE)) & WRITABLE


def test_peer_fin(bits: Callable[[Event], int]) -> None:
    """EV_EOF on the reading side is the peer's FIN, and no error."""
    assert bits(Event(7, READ, EOF)) == IN | FIN
    assert bits(Event(7, READ, EOF)) & PEER_FIN


def test_own_fin(bits: Callable[[Event], int]) -> None:
    """EV_EOF on the writing side comes after our own FIN too: no error, or half-closing would be an abort."""
    assert bits(Event(7, WRITE, EOF)) == OUT


@pytest.mark.parametrize("filter_", [READ, WRITE])
def test_reset(bits: Callable[[Event], int], filter_: int) -> None:
    """With the socket's error in fflags it is an abort."""
    assert bits(Event(7, filter_, EOF, ECONNRESET)) & ERROR
