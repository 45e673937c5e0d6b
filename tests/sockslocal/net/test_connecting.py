import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from fakes.engine import POLLERS, turns, until
from fakes.sockets import blackhole
from sockslocal.net import connecting, sockets
from sockslocal.net.connecting import Connecting, SocketAddress
from sockslocal.net.engine import Engine
from sockslocal.net.sockets import Socket

NOWHERE = (socket.AF_INET, ("127.0.0.1", 1))
"""Nobody listens there."""


@dataclass
class Outcome:
    """What a race came to."""

    winners: list[tuple[Socket, SocketAddress]] = field(default_factory=list)
    errors: list[OSError] = field(default_factory=list)

    def connected(self, sock: Socket, address: SocketAddress, _edges: int) -> None:
        self.winners.append((sock, address))


@contextmanager
def listening() -> Iterator[SocketAddress]:
    """An address that accepts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield socket.AF_INET, listener.getsockname()


@contextmanager
def silence() -> Iterator[SocketAddress]:
    """An address that answers nothing."""
    with blackhole() as address:
        yield socket.AF_INET, address


def race(engine: Engine, *addresses: SocketAddress) -> tuple[Connecting, Outcome]:
    """A race that has begun."""
    outcome = Outcome()
    attempt = Connecting(engine.poller, addresses, outcome.connected, outcome.errors.append)
    attempt.start()
    return attempt, outcome


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_winner_comes_with_its_address(engine: Engine) -> None:
    """The socket is connected, non-blocking, and sends small messages at once."""
    with listening() as address:
        _, outcome = race(engine, address)
        await until(lambda: outcome.winners, "connected")
        ((sock, winner),) = outcome.winners
        assert winner == address
        assert sock.getpeername() == address[1]
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        engine.poller.close(sock)


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_refusing_address_is_followed_by_the_next_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed attempt does not wait for the delay between attempts."""
    monkeypatch.setattr(connecting, "ATTEMPT_DELAY_S", 3600)

    with listening() as address:
        _, outcome = race(engine, NOWHERE, address)
        await until(lambda: outcome.winners, "connected to the second")
        ((sock, winner),) = outcome.winners
        assert winner == address
        engine.poller.close(sock)


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_silent_address_is_overtaken(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the delay the next address is tried beside the silent one, which is closed when it loses."""
    monkeypatch.setattr(connecting, "ATTEMPT_DELAY_S", 0.01)

    with silence() as silent, listening() as address:
        attempt, outcome = race(engine, silent, address)
        await until(lambda: outcome.winners, "connected to the second")
        ((sock, winner),) = outcome.winners
        assert winner == address
        assert attempt._attempts == []
        engine.poller.close(sock)


async def test_the_silent_first_one_may_still_win(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that began earlier goes on while later ones fail."""
    monkeypatch.setattr(connecting, "ATTEMPT_DELAY_S", 0.0)

    with silence() as silent:
        attempt, outcome = race(engine, silent, NOWHERE)
        await until(lambda: not attempt._addresses and len(attempt._attempts) == 1, "only the first left")
        await turns()
        assert outcome.errors == []
        attempt.cancel()


@pytest.mark.parametrize("poller", POLLERS)
async def test_the_last_error_is_told_when_all_fail(engine: Engine) -> None:
    """One call, with an OSError, once no attempt is left."""
    _, outcome = race(engine, NOWHERE, NOWHERE)
    await until(lambda: outcome.errors, "told")
    await turns()
    assert [error.errno for error in outcome.errors] == [errno.ECONNREFUSED]
    assert outcome.winners == []


async def test_without_an_address_it_fails_at_once(engine: Engine) -> None:
    """An empty list is a failure like any other."""
    _, outcome = race(engine)
    assert [error.errno for error in outcome.errors] == [errno.EADDRNOTAVAIL]


async def test_an_address_that_cannot_be_tried_is_passed_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An immediate error, such as no route, leads to the next address; the last is told if all are such."""
    unreachable = (socket.AF_INET, ("127.0.0.1", 2))

    class Picky(Socket):
        def connect_ex(self, address: object) -> int:
            return errno.ENETUNREACH if address == unreachable[1] else super().connect_ex(address)  # type: ignore[arg-type]

    monkeypatch.setattr(sockets, "Socket", Picky)

    with listening() as address:
        _, outcome = race(engine, unreachable, address)
        await until(lambda: outcome.winners, "connected")
        engine.poller.close(outcome.winners[0][0])
    _, failed = race(engine, unreachable)
    assert [error.errno for error in failed.errors] == [errno.ENETUNREACH]
    assert failed.errors[0].strerror == os.strerror(errno.ENETUNREACH)


async def test_a_socket_that_cannot_be_set_up_is_closed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option that the system refuses fails the attempt and leaks nothing."""
    monkeypatch.setattr(socket, "TCP_NODELAY", 9_999)

    _, outcome = race(engine, NOWHERE)
    assert [error.errno for error in outcome.errors] == [errno.ENOPROTOOPT]


async def test_a_socket_that_cannot_be_watched_fails_the_attempt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is closed, and not waited for."""

    def full(_sock: socket.socket) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(engine.poller, "_watch", full)
    with listening() as address:
        attempt, outcome = race(engine, address)
        assert [error.errno for error in outcome.errors] == [errno.ENOSPC]
        assert not attempt._attempts


@pytest.mark.parametrize("poller", POLLERS)
async def test_cancelling_closes_all_attempts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called any more, and a pending delay leads to no further attempt."""
    monkeypatch.setattr(connecting, "ATTEMPT_DELAY_S", 0.01)

    with silence() as silent, listening() as address:
        attempt, outcome = race(engine, *[silent] * 1_000, address)
        await until(lambda: len(attempt._attempts) >= 2, "two attempts under way")
        sockets = [*attempt._attempts]
        attempt.cancel()
        await turns(20)
        assert {sock.fileno() for sock in sockets} == {-1}
        assert outcome == Outcome()
