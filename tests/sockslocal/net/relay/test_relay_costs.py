import asyncio
import gc
import hashlib
import os
import socket
import weakref
from collections.abc import Iterator

import pytest

from fakes.engine import turns, until
from fakes.joints import (
    MIB,
    Joint,
    Way,
    only_best,
    pumps,
    read_exactly,
    receive,
    receive_all,
    send,
    some_octets,
)
from fakes.sockets import closing, fill, read_available, tcp_pair
from sockslocal.net import pipes, pump, watchdog
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S
from sockslocal.net.pump import CHUNK, Pump, Turn
from sockslocal.net.relay import End, Relay


async def test_stalled_reader(joint: Joint, way: Way) -> None:
    """Of 80 MB for a program that does not read little is held; the sender waits, and nothing is lost."""
    data = some_octets(80 * MIB)

    joint.start()
    sending = asyncio.create_task(send(joint.server, data))
    _, down = pumps(joint)
    await until(lambda: down.last is Turn.FULL, "the program's buffers are full")
    seen = -1
    while seen != (seen := joint.relay.received + down.held):
        await turns(10)
    assert not sending.done(), "the sender has to wait"
    assert 0 < down.held <= max(CHUNK, pipes.CAPACITY)
    assert seen < len(data) // 2
    assert joint.engine.pipes.lent == way.splices
    heard = await receive(joint.program, len(data))
    await sending
    assert hashlib.sha256(heard).digest() == hashlib.sha256(data).digest()
    await until(lambda: down.last is Turn.DRY, "all has passed")
    assert down.held == 0
    assert joint.engine.pipes.lent == 0, "an idle relay holds no pipe"


async def test_a_busy_stream_starves_nobody(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two turns of a busy stream the others have theirs, and no turn is longer than its share."""
    monkeypatch.setattr(pump, "SHARE", 4 * CHUNK)
    monkeypatch.setattr(pipes, "CAPACITY", CHUNK)
    moved: list[tuple[Pump, int]] = []
    turn = Pump.turn

    def noted(self: Pump) -> Turn:
        before = self.moved
        try:
            return turn(self)
        finally:
            if self.moved > before:
                moved.append((self, self.moved - before))

    monkeypatch.setattr(Pump, "turn", noted)

    other = Joint(joint.engine, tcp_pair)
    with closing(other.program, other.server):
        joint.start()
        other.start()
        await turns()
        queued = fill(joint.server)
        other.server.send(b"x")
        reading = asyncio.create_task(receive(joint.program, queued))
        assert await receive(other.program, 1) == b"x"
        await reading
        other.relay.abort()
    busy, brief = pumps(joint)[1], pumps(other)[1]
    order = [which for which, _ in moved]
    assert order.count(busy) > 4, "it was in need of several turns"
    assert order.index(brief) < 4, "the brief one waited for more than the turns of one round"
    assert max(octets for _, octets in moved) <= pump.SHARE + CHUNK + pipes.CAPACITY


@only_best
async def test_a_connection_that_lasts_is_kept_alive(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what lives until the first look of the watchdog is worth four system calls."""
    monkeypatch.setattr(watchdog, "PERIOD_S", 0.05)

    def kept_alive() -> int:
        return joint.remote.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    joint.start()
    assert not kept_alive()
    await until(kept_alive, "the first look")
    assert joint.remote.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == REMOTE_IDLE_S


@only_best
async def test_a_peer_that_vanished(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the watchdog ends is aborted on both sides."""
    monkeypatch.setattr(watchdog, "PERIOD_S", 0.001)
    monkeypatch.setattr(watchdog, "SILENT_S", 0.0)
    monkeypatch.setattr(watchdog, "ATTEMPTS", 0)

    def silence(sock: socket.socket, *_rest: object) -> object:
        return watchdog._Silence(0.0, 0, 0) if sock is joint.remote else None

    monkeypatch.setattr(watchdog, "_silence", silence)
    joint.start()
    assert await joint.end() is End.ABORTED
    for sock in (joint.program, joint.server):
        with pytest.raises(ConnectionResetError):
            await receive_all(sock)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """What refers to itself in a circle is not freed."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@only_best
async def test_freed_without_the_collector(engine: Engine) -> None:
    """A relay that has ended is freed at once: nothing of it refers to itself in a circle."""
    program, local = tcp_pair()
    remote, server = tcp_pair()
    ended: list[End | None] = []
    for sock in (local, remote):
        engine.poller.register(sock, lambda _bits: None)
    Relay(engine, local, remote, lambda relay: ended.append(relay.end)).start()
    gone = weakref.ref(local)
    del local, remote, sock
    with closing(program, server):
        await send(server, bytes(5 * MIB))
        assert len(await receive(program, 5 * MIB)) == 5 * MIB
        program.shutdown(socket.SHUT_WR)
        server.shutdown(socket.SHUT_WR)
        await until(lambda: ended, "the end of the relay")
        await turns()
        assert gone() is None


@only_best
async def test_descriptors_run_out_in_mid_stream(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no pipe can be made, a stream of any length is copied."""

    def out_of_descriptors() -> tuple[int, int]:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", out_of_descriptors)
        joint.start()
        data = bytes(range(256)) * 80_000
        await asyncio.gather(send(joint.server, data), read_exactly(joint.program, data))


@only_best
async def test_nothing_is_read_before_it_starts(joint: Joint) -> None:
    """Until its start a relay leaves the sockets alone."""
    await send(joint.program, b"question")
    await turns()
    assert joint.local.recv(8, socket.MSG_PEEK) == b"question"
    assert read_available(joint.server) == b""
    joint.start()
