"""One contract for every poller that runs here."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from fakes import loops
from fakes.descriptors import open_descriptors
from fakes.engine import POLLERS, turns, until
from fakes.sockets import closing, fill, read_available, reset, tcp_pair, unix_pair
from sockslocal.net import poller as module
from sockslocal.net.poller import ERROR, READABLE, WRITABLE, LoopPoller, Poller, best_poller


@pytest.fixture(params=POLLERS, ids=["best", "loop"])
def poller(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[Poller]:
    """Each poller, in the loop of the test."""

    async def make() -> Poller:
        made: Poller = request.param()
        return made

    made = runner.run(make())
    yield made
    made.stop()


class Events:
    """A handler that remembers what it was told."""

    def __init__(self) -> None:
        self.all: list[int] = []

    def __call__(self, bits: int) -> None:
        self.all.append(bits)

    @property
    def reads(self) -> int:
        return sum(bool(bits & READABLE) for bits in self.all)

    @property
    def writes(self) -> int:
        return sum(bool(bits & WRITABLE) for bits in self.all)


async def test_readable_once(poller: Poller) -> None:
    """What is not read is told once: a handler that looks away is not called again and again."""
    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        far.send(b"x")
        await until(lambda: events.reads, "the first octet is told")
        await turns(10)
        assert events.reads == 1


async def test_what_cannot_be_watched_is_closed(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's table is full: whoever wanted it watched is told, and nothing is left of it."""

    def full(_sock: socket.socket) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(poller, "_watch", full)
    near, far = tcp_pair()
    with closing(near, far):
        with pytest.raises(OSError, match="No space"):
            poller.register(near, Events())
        assert near.fileno() == -1
        assert poller.watched == 0
        assert far.recv(1) == b""


async def test_readable_again(poller: Poller) -> None:
    """Once found empty, a socket is told of again when more has come."""
    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        for count in range(1, 6):
            far.send(b"x")
            await until(lambda count=count: events.reads >= count, f"octet {count} is told")  # type: ignore[misc]
            assert read_available(near) == b"x"
            poller.wait_readable(near)


async def test_nothing_falls_between(poller: Poller) -> None:
    """What comes after a socket was found empty and before `wait_readable` is told all the same."""
    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        far.send(b"x")
        await until(lambda: events.reads, "the first octet is told")
        read_available(near)
        far.send(b"y")
        poller.wait_readable(near)
        await until(lambda: events.reads > 1, "the second octet is told")


async def test_writable(poller: Poller) -> None:
    """A new socket is told to be writable; a full one is told of again when there is room, and not before."""
    near, far = unix_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        await until(lambda: events.writes, "room at first")
        queued = fill(near)
        told = events.writes
        poller.wait_writable(near)
        await turns(10)
        assert events.writes == told
        received = 0
        while received < queued:
            received += len(read_available(far))
            await asyncio.sleep(0)
        await until(lambda: events.writes > told, "room again")


async def test_end(poller: Poller) -> None:
    """The peer's FIN asks for a read, which finds the end."""
    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        far.shutdown(socket.SHUT_WR)
        await until(lambda: events.reads, "the end is told")
        assert near.recv(1) == b""


async def test_reset(poller: Poller) -> None:
    """The peer's RST asks for a read, which finds the error."""
    near, far = tcp_pair()
    with closing(near):
        events = Events()
        poller.register(near, events)
        await turns()
        reset(far)
        await until(lambda: events.reads, "the reset is told")
        with pytest.raises(ConnectionResetError):
            near.recv(1)


async def test_reset_while_nobody_reads(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset is told as ERROR even to a handler that has not read what came before."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)

    near, far = tcp_pair()
    with closing(near):
        events = Events()
        poller.register(near, events)
        far.send(b"unread")
        await until(lambda: events.reads, "the octets are told")
        reset(far)
        await until(lambda: any(bits & ERROR for bits in events.all), "the reset is told")


@pytest.mark.parametrize("poller", [LoopPoller], indirect=True)
async def test_a_reset_is_left_to_who_reads(poller: LoopPoller) -> None:
    """Looking for resets takes none away from a handler that waits to read: it finds the error itself."""
    near, far = tcp_pair()
    with closing(near):
        events = Events()
        poller.register(near, events)
        far.send(b"x")
        await until(lambda: events.reads, "the octet is told")
        read_available(near)
        poller.wait_readable(near)
        reset(far)
        poller._look()
        with pytest.raises(ConnectionResetError):
            near.recv(1)


async def test_no_error_without_reset(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that has sent octets, or octets and FIN, is in order: nobody is told of an error."""
    monkeypatch.setattr(module, "LOOK_S", 0.001)

    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        far.send(b"unread")
        await until(lambda: events.reads, "the octets are told")
        await turns(10)
        far.shutdown(socket.SHUT_WR)
        await turns(10)
        assert not any(bits & ERROR for bits in events.all)
        assert near.recv(100) == b"unread", "looking has taken nothing away"


async def test_reset_of_another(poller: Poller, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that is told of a reset may close other sockets that were reset: these are not told."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)

    pairs = [tcp_pair() for _ in range(4)]
    told: list[int] = []

    def ready(index: int, bits: int) -> None:
        if bits & ERROR:
            told.append(index)
            for near, _ in pairs:
                poller.close(near)

    for index, (near, far) in enumerate(pairs):
        poller.register(near, lambda bits, index=index: ready(index, bits))  # type: ignore[misc]
        far.send(b"unread")
    await turns()
    for _, far in pairs:
        reset(far)
    await until(lambda: told, "a reset is told")
    await turns(10)
    assert len(told) == 1


async def test_close_during_dispatch(poller: Poller) -> None:
    """One of two ready sockets closes the other and opens a new one: neither is called for the old one."""
    first, second = unix_pair(), unix_pair()
    fresh: list[socket.socket] = []
    old, new = Events(), Events()

    def ready(other: socket.socket, bits: int) -> None:
        if bits & READABLE and not fresh:
            poller.close(other)
            fresh.extend(unix_pair())
            poller.register(fresh[0], new)
        elif bits & READABLE:
            old(bits)

    poller.register(first[0], lambda bits: ready(second[0], bits))
    poller.register(second[0], lambda bits: ready(first[0], bits))
    await turns()
    first[1].send(b"x")
    second[1].send(b"x")
    await until(lambda: fresh, "one of the two is told")
    await turns()
    with closing(*first, *second, *fresh):
        assert not old.all, "the closed one was called"
        assert not new.reads, "an event of the old socket reached the new one"
        assert min(first[0].fileno(), second[0].fileno()) == -1, "it was closed in the end"


async def test_close_from_outside(poller: Poller) -> None:
    """Outside a handler `close` closes at once, and the number may be used again at once."""
    near, far = tcp_pair()
    old, new = Events(), Events()
    poller.register(near, old)
    await turns()
    number = near.fileno()
    far.send(b"x")
    poller.close(near)
    assert near.fileno() == -1
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    again = socket.socket(fileno=os.dup2(other.fileno(), number, inheritable=False))
    with closing(far, other, again):
        again.setblocking(False)
        poller.register(again, new)
        await turns()
        assert not old.reads
        assert not new.reads
        poller.close(again)


async def test_closing_twice(poller: Poller) -> None:
    """Closing what is closed does nothing, nor does waiting for it, nor closing what was never watched."""
    near, far = tcp_pair()
    poller.register(near, Events())
    poller.close(near)
    poller.close(near)
    poller.wait_readable(near)
    poller.wait_writable(near)
    poller.close(far)
    assert poller.watched == 0


async def test_bug_in_a_handler(poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    """What a handler raises is logged, and the others that are ready have their turn."""
    pairs = [tcp_pair() for _ in range(6)]
    read: set[int] = set()

    def ready(index: int, bits: int) -> None:
        if bits & READABLE:
            read.add(index)
            if index % 2:
                raise RuntimeError(f"bug {index}")

    for index, (near, far) in enumerate(pairs):
        poller.register(near, lambda bits, index=index: ready(index, bits))  # type: ignore[misc]
        far.send(b"x")
    with closing(*(sock for pair in pairs for sock in pair)):
        await until(lambda: len(read) == 6, "all have had their turn")
    assert {f"bug {index}" for index in (1, 3, 5)} == {
        str(record.exc_info[1]) for record in caplog.records if record.exc_info
    }


async def test_bug_in_a_callback(poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    """What a callback raises is logged, and the next one is called."""
    called: list[str] = []

    def bug() -> None:
        raise RuntimeError("bug")

    poller.soon(bug)
    poller.soon(lambda: called.append("next"))
    await until(lambda: called, "the next one is called")
    assert "callback failed" in caplog.text


async def test_soon_is_after_the_ready(poller: Poller) -> None:
    """What a handler puts off comes after all sockets that were ready with its own."""
    pairs = [unix_pair() for _ in range(3)]
    order: list[str] = []

    def ready(bits: int) -> None:
        if bits & READABLE:
            order.append("ready")
            poller.soon(lambda: order.append("soon"))

    for near, _ in pairs:
        poller.register(near, ready)
    await turns()
    for _, far in pairs:
        far.send(b"x")
    with closing(*(sock for pair in pairs for sock in pair)):
        await until(lambda: order.count("soon") == 3, "all is done")
    assert order == ["ready"] * 3 + ["soon"] * 3


@pytest.mark.parametrize("within", [True, False], ids=["from a handler", "from outside"])
async def test_soon_needs_no_other_event(poller: Poller, within: bool) -> None:  # noqa: FBT001  a parameter of the test
    """What was put off is called although nothing else is ready, and no timer due for long."""
    loop = asyncio.get_running_loop()
    near, far = tcp_pair()
    called: asyncio.Future[None] = loop.create_future()

    def ready(bits: int) -> None:
        if bits & READABLE:
            poller.soon(lambda: called.set_result(None))

    with closing(near, far):
        poller.register(near, ready)
        await turns()
        far_off = loop.call_later(20, lambda: None)
        if within:
            far.send(b"x")
        else:
            poller.soon(lambda: called.set_result(None))
        await called
        assert loop.time() < far_off.when()
        far_off.cancel()


async def test_soon_starves_nobody(poller: Poller) -> None:
    """Work that puts itself off again and again alternates with sockets, and with what the loop has to do."""
    near, far = tcp_pair()
    order: list[str] = []
    heard: list[int] = []

    def work() -> None:
        order.append("work")
        if len(order) == 20:
            far.send(b"x")
        if len(order) < 2_000 and not heard:
            poller.soon(work)

    def ready(bits: int) -> None:
        if bits & READABLE:
            heard.append(len(order))

    poller.register(near, ready)
    await turns()
    loop_turns = 0
    with closing(near, far):
        poller.soon(work)
        while not heard:
            await asyncio.sleep(0)
            loop_turns += 1
    assert heard[0] <= 20 + 3, "the socket waited for the work"
    assert loop_turns > 1, "the loop waited for the work"


async def test_later(poller: Poller) -> None:
    """A timer calls back, unless it was cancelled."""
    called: list[str] = []
    poller.later(0, lambda: called.append("cancelled")).cancel()
    poller.later(0.001, lambda: called.append("called"))
    await until(lambda: called, "the timer calls")
    assert called == ["called"]


async def test_replace(poller: Poller) -> None:
    """From `replace` on only the new handler is called."""
    near, far = tcp_pair()
    with closing(near, far):
        old, new = Events(), Events()
        poller.register(near, old)
        await turns()
        poller.replace(near, new)
        far.send(b"x")
        await until(lambda: new.reads, "the new handler is told")
        assert not old.reads


async def test_release(poller: Poller) -> None:
    """A released socket is open and no longer watched; the loop may take it over, and give it back."""
    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        poller.register(near, events)
        await turns()
        poller.release(near)
        poller.release(near)  # a second time does nothing
        far.send(b"for the loop")
        assert await asyncio.get_running_loop().sock_recv(near, 100) == b"for the loop"
        assert not events.reads
        assert poller.watched == 0
        far.send(b"x")
        poller.register(near, events)
        await until(lambda: events.reads, "it is watched again")


async def test_release_during_dispatch(poller: Poller) -> None:
    """Of two sockets ready at once, the first releases the second, whose handler then is not called."""
    pairs = [unix_pair(), unix_pair()]
    read: list[int] = []

    def ready(index: int, bits: int) -> None:
        if bits & READABLE:
            read.append(index)
            poller.release(pairs[1 - index][0])

    for index, (near, _) in enumerate(pairs):
        poller.register(near, lambda bits, index=index: ready(index, bits))  # type: ignore[misc]
    await turns()
    for _, far in pairs:
        far.send(b"x")
    with closing(*(sock for pair in pairs for sock in pair)):
        await until(lambda: read, "one of the two is told")
        await turns()
        assert len(read) == 1


async def test_stop(poller: Poller) -> None:
    """After `stop` nobody is called, waiting does nothing, and the sockets are as they were."""
    near, far = tcp_pair()
    with closing(near, far):
        events = Events()
        called: list[str] = []
        poller.register(near, events)
        await turns()
        poller.soon(lambda: called.append("too late"))
        poller.stop()
        far.send(b"x")
        poller.wait_readable(near)
        poller.wait_writable(near)
        await turns()
        assert not events.reads
        assert not called
        assert near.recv(1) == b"x"


async def test_stop_from_a_handler(poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    """That was the last call, whatever else is ready; what it closed is closed."""
    pairs = [unix_pair(), unix_pair()]
    spare = socket.socket()
    read: list[int] = []

    def ready(bits: int) -> None:
        if bits & READABLE:
            read.append(bits)
            poller.soon(lambda: read.append(0))
            poller.close(spare)
            poller.stop()

    for near, _ in pairs:
        poller.register(near, ready)
    await turns()
    for _, far in pairs:
        far.send(b"x")
    with closing(*(sock for pair in pairs for sock in pair)):
        await until(lambda: read, "one of the two is told")
        await turns()
        assert len(read) == 1
        assert spare.fileno() == -1, "what was to be closed is closed"
    assert not caplog.records


async def test_stop_from_a_callback(poller: Poller, caplog: pytest.LogCaptureFixture) -> None:
    """No other one is called after it."""
    called: list[str] = []
    poller.soon(poller.stop)
    poller.soon(lambda: called.append("too late"))
    await turns()
    assert not called
    assert not caplog.records


async def test_many(poller: Poller) -> None:
    """More sockets ready at once than one batch holds are all told of."""
    pairs = [socket.socketpair() for _ in range(600)]
    read: set[int] = set()
    with closing(*(sock for pair in pairs for sock in pair)):
        for index, (near, far) in enumerate(pairs):
            near.setblocking(False)
            poller.register(near, lambda bits, index=index: read.add(index) if bits & READABLE else None)  # type: ignore[misc]
            far.send(b"x")
        assert poller.watched == 600
        await until(lambda: len(read) == 600, "all are told")


@pytest.mark.parametrize("make", POLLERS, ids=["best", "loop"])
def test_leaves_nothing_open(make: Callable[[], Poller]) -> None:
    """Making, using and stopping a poller leaves no descriptor behind."""

    async def use() -> None:
        poller = make()
        near, far = tcp_pair()
        poller.register(near, Events())
        await turns()
        poller.close(near)
        far.close()
        poller.stop()

    loops.run(use())
    before = open_descriptors()
    loops.run(use())
    assert open_descriptors() == before


async def test_each_platform_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is neither epoll nor kqueue, the loop's own readiness serves."""
    monkeypatch.setattr(sys, "platform", "win32")

    poller = best_poller()
    assert isinstance(poller, LoopPoller)
    poller.stop()
