"""One direction alone; what two of them make together is in the folder relay."""

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.sockets import fill, read_available, reset, tcp_pair
from fakes.waiting import wait_until
from sockslocal.net import pipes
from sockslocal.net import pump as module
from sockslocal.net.pipes import PipePool
from sockslocal.net.pump import CHUNK, SPARSE, Pump, Turn
from sockslocal.net.sockets import Socket

PATTERN = random.Random(1).randbytes((1 << 20) + 1_000)


class Line:
    """A talker and a listener, with a pump between them."""

    def __init__(self, pool: PipePool | None) -> None:
        self.talker, source = tcp_pair()
        sink, self.listener = tcp_pair()
        self.pool = pool
        self.pump = Pump(source, sink, pool)

    def turn_until_rest(self) -> Turn:
        """Turn as long as it is busy."""
        while (turn := self.pump.turn()) is Turn.BUSY:
            pass
        return turn

    def turn_until_heard(self) -> None:
        """Turn, and let the listener read, until the end."""
        while self.pump.turn() is not Turn.ENDED:
            with suppress(OSError):
                read_available(self.listener)

    def close(self) -> None:
        """Close all; the pipes must have come back."""
        self.pump.release()
        for sock in (self.talker, self.pump.source, self.pump.sink, self.listener):
            sock.close()
        if self.pool is not None:
            assert self.pool.lent == 0
            self.pool.close()


MakeLine = Callable[[], Line]


@pytest.fixture(params=["splice", "copy", "no pipe to be had"])
def make_line(request: pytest.FixtureRequest) -> Iterator[MakeLine]:
    """Lines whose pump splices or copies; all are closed, and all pipes must have come back."""
    with ExitStack() as stack:

        def make() -> Line:
            pools = {"splice": PipePool(), "copy": None, "no pipe to be had": PipePool(ceiling=0)}
            line = Line(pools[request.param])
            stack.callback(line.close)
            return line

        yield make


@pytest.fixture
def line(make_line: MakeLine) -> Line:
    """One of them."""
    return make_line()


def test_dry(line: Line) -> None:
    """With nothing to read nothing happens."""
    assert line.pump.turn() is Turn.DRY
    assert (line.pump.moved, line.pump.held) == (0, 0)


def test_moves(line: Line) -> None:
    """What was said is heard, and counted."""
    line.talker.send(b"hello")
    assert line.pump.turn() is Turn.DRY
    assert read_available(line.listener) == b"hello"
    assert (line.pump.moved, line.pump.held) == (5, 0)


def test_short_read_is_the_last(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a short read the source is empty, and is not asked again: a new edge will tell."""
    reads: list[int] = []

    class Counted(socket.socket):
        def recv(self, *arguments: int) -> bytes:
            reads.append(1)
            return super().recv(*arguments)

    source = Counted(fileno=line.pump.source.detach())
    line.pump.source = source
    line.talker.send(b"hello")
    assert line.pump.turn() is Turn.DRY
    assert len(reads) == 1


def test_end(line: Line) -> None:
    """The source's FIN ends it once all that came before was passed on; then the sink can be told."""
    line.talker.send(b"hello")
    line.talker.shutdown(socket.SHUT_WR)
    line.pump.ending = True
    assert line.pump.turn() is Turn.ENDED
    assert read_available(line.listener) == b"hello"
    line.pump.pass_end()
    line.listener.setblocking(True)
    assert line.listener.recv(1) == b""


def test_end_behind_bulk(line: Line) -> None:
    """Behind bulk the end is found as well."""
    queued = fill(line.talker)
    line.talker.shutdown(socket.SHUT_WR)
    line.pump.ending = True
    heard = 0
    while line.pump.turn() is not Turn.ENDED:
        heard += len(read_available(line.listener))
    heard += len(read_available(line.listener))
    assert heard == queued == line.pump.moved


def test_preloaded(line: Line) -> None:
    """What is preloaded is heard before what is read."""
    line.talker.send(b" and the rest")
    line.pump.preload(b"the beginning")
    assert line.pump.held == 13
    assert line.pump.turn() is Turn.DRY
    assert read_available(line.listener) == b"the beginning and the rest"
    assert line.pump.moved == 26


def test_full(line: Line) -> None:
    """A sink that takes no more leaves a bounded rest with the pump, which goes on from there."""
    said = heard = 0
    turn = Turn.DRY
    while turn is not Turn.FULL:
        said += fill(line.talker)
        turn = line.turn_until_rest()
    held = line.pump.held
    assert 0 < held <= max(CHUNK, pipes.CAPACITY)
    assert line.pump.turn() is Turn.FULL, "still full"
    assert line.pump.held == held
    while heard < said:
        heard += len(read_available(line.listener))
        line.turn_until_rest()
    assert heard == said
    assert line.pump.held == 0


def test_share(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn moves its share and no more, however much there is."""
    monkeypatch.setattr(module, "SHARE", CHUNK)
    line.pump.source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    fill(line.talker)
    wait_until(lambda: unread(line.pump.source) > 2 * CHUNK, seconds=5, what="more than a share can be read")
    assert line.pump.turn() is Turn.BUSY
    assert CHUNK <= line.pump.moved <= module.SHARE + CHUNK + pipes.CAPACITY
    assert unread(line.pump.source)


def unread(sock: Socket) -> int:
    """How many octets can be read, up to 4 chunks."""
    return len(sock.recv(4 * CHUNK, socket.MSG_PEEK))


@pytest.mark.parametrize("end", ["source", "sink"])
def test_abort(line: Line, end: str) -> None:
    """An aborted source or sink is an error; what was held is dropped with the pump."""
    fill(line.talker)
    turn = Turn.BUSY
    while turn is not Turn.FULL:
        turn = line.pump.turn()
        fill(line.talker)
    assert line.pump.held
    reset(line.talker if end == "source" else line.listener)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        line.turn_until_heard()
    line.pump.release()
    assert line.pump.held == 0


def test_idle_holds_no_pipe() -> None:
    """A pipe is lent for bulk only, and only while there is something in it."""
    pool = PipePool()
    line = Line(pool)
    line.talker.send(b"short")
    line.pump.turn()
    assert not pool._idle, "no pipe was made for that"
    line.talker.send(bytes(3 * CHUNK))
    line.pump.turn()
    assert len(pool._idle) == 1
    assert pool.lent == 0
    line.close()


def test_bulk_that_grew_sparse_is_copied() -> None:
    """A stream is spliced as long as it is bulk: then short exchanges are copied again."""
    pool = PipePool()
    line = Line(pool)
    line.talker.send(bytes(3 * CHUNK))
    line.pump.turn()
    assert line.pump._bulk
    line.talker.send(bytes(SPARSE - 1))
    line.pump.turn()
    assert not line.pump._bulk
    line.close()


def test_a_thousand_chunks_without_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no pipe is to be had each full read asks for one, and the turn is a turn like any other."""
    monkeypatch.setattr(module, "SHARE", 10_000 * CHUNK)

    class Endless:
        def recv(self, size: int) -> bytes:
            return bytes(size)

    class Bottomless:
        taken = 0

        def send(self, data: bytes) -> int:
            self.taken += len(data)
            return len(data) if self.taken < 5_000 * CHUNK else 1

    source: Any = Endless()
    sink: Any = Bottomless()
    pump = Pump(source, sink, PipePool(ceiling=0))
    assert pump.turn() is Turn.FULL
    assert sink.taken == 5_000 * CHUNK


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["say", "hear", "turn"]),
        st.one_of(st.integers(1, 2_000), st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 1 << 20])),
    ),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_order(make_line: MakeLine, steps: list[tuple[str, int]]) -> None:
    """Whatever is said, heard and moved in whatever order: it arrives, in order, and nothing else."""
    line = make_line()
    said, heard = bytearray(), bytearray()
    for step, size in steps:
        if step == "say":
            with suppress(BlockingIOError):
                octets = PATTERN[len(said) % 1_000 :][:size]
                said += octets[: line.talker.send(octets)]
        elif step == "hear":
            with suppress(BlockingIOError):
                heard += line.listener.recv(size)
        else:
            line.pump.turn()
    while len(heard) < len(said):
        line.pump.turn()
        heard += read_available(line.listener)
    line.talker.shutdown(socket.SHUT_WR)
    line.pump.ending = True
    assert line.pump.turn() is Turn.ENDED
    assert heard == said
    assert line.pump.moved == len(said)
    line.close()
