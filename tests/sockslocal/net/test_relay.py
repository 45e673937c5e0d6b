"""One contract for relays that splice and relays that copy, over each poller."""

import asyncio
import contextlib
import dataclasses
import gc
import hashlib
import os
import random
import select
import socket
import weakref
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from fakes.certificates import NAME, Authority
from fakes.engine import POLLERS, turns, until
from fakes.sockets import closing, fill, read_available, reset, tcp_pair, unix_pair
from fakes.tls_front import TlsFront
from sockslocal.config.model import TlsConfig
from sockslocal.net import pipes, pump, watchdog
from sockslocal.net import poller as poller_module
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S
from sockslocal.net.pipes import Pipe, PipePool
from sockslocal.net.poller import READABLE, Poller
from sockslocal.net.pump import CHUNK, Pump, Turn
from sockslocal.net.relay import End, Relay
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import Tls

MIB = 1 << 20

MakePair = Callable[[], tuple[socket.socket, socket.socket]]
MakeFarPair = Callable[[], tuple[Socket, socket.socket]]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's poller looks for resets more often."""
    monkeypatch.setattr(poller_module, "LOOK_S", 0.01)


class Joint:
    """A relay, with the program at its local end and the server at its remote one."""

    def __init__(self, engine: Engine, make_pair: MakePair, make_far_pair: MakeFarPair = tcp_pair) -> None:
        self.engine = engine
        self.program, self.local = make_pair()
        self.remote, self.server = make_far_pair()
        self.ends: list[End | None] = []
        self.edges = {"local": 0, "remote": 0}
        self.relay = Relay(engine, self.local, self.remote, lambda relay: self.ends.append(relay.end))
        engine.poller.register(self.local, lambda bits: self._note("local", bits))
        engine.poller.register(self.remote, lambda bits: self._note("remote", bits))

    def start(self, leftover: bytes = b"") -> None:
        self.relay.start(
            leftover=leftover, local_edges=self.edges["local"], remote_edges=self.edges["remote"]
        )

    async def end(self) -> End | None:
        await until(lambda: self.ends, "the end of the relay")
        return self.ends[-1]

    def _note(self, side: str, bits: int) -> None:
        self.edges[side] |= bits


@dataclasses.dataclass(frozen=True)
class Way:
    """With which poller a relay works, whether it has pipes, and whether there is TLS before the server."""

    make_poller: Callable[[], Poller]
    splices: bool
    tls: bool = False


WAYS = [Way(make_poller, splices) for make_poller in POLLERS for splices in (True, False)]
WAYS += [Way(make_poller, splices=False, tls=True) for make_poller in POLLERS]

only_best = pytest.mark.parametrize("way", WAYS[:1])
"""For what does not depend on the way."""


@pytest.fixture(
    params=WAYS, ids=["best-splice", "best-copy", "loop-splice", "loop-copy", "best-tls", "loop-tls"]
)
def way(request: pytest.FixtureRequest) -> Way:
    """Each of them."""
    made: Way = request.param
    return made


@pytest.fixture
def poller(way: Way) -> Callable[[], Poller]:
    """What the engine has."""
    return way.make_poller


@pytest.fixture
def make_pool(way: Way) -> Callable[[], PipePool]:
    """Where the relay borrows its pipes; to be parametrized."""
    return partial(PipePool, ceiling=1 << 20 if way.splices else 0)


@pytest.fixture
def make_pair() -> MakePair:
    """Makes the program and the relay's local end; to be parametrized."""
    return tcp_pair


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TlsFront, Tls]]:
    """TLS in front of a server, and who knows its certificate."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with TlsFront(("127.0.0.1", 1), authority.issue()) as running:
        yield running, Tls(TlsConfig(NAME, authority.ca))


def far_pair(front: TlsFront, ours: Tls) -> tuple[Socket, socket.socket]:
    """The relay's remote end, and the server behind TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        front.behind = listener.getsockname()
        remote = ours.wrap(socket.create_connection(front.address))
        while True:
            try:
                remote.handshake()
                break
            except BlockingIOError:
                select.select([remote], [], [], 10)
        server, _ = listener.accept()
    server.setblocking(False)
    return remote, server


@pytest.fixture
def make_far_pair(way: Way, request: pytest.FixtureRequest) -> MakeFarPair:
    """Makes the relay's remote end and the server."""
    return partial(far_pair, *request.getfixturevalue("front")) if way.tls else tcp_pair


@pytest.fixture
def joint(
    engine: Engine,
    runner: asyncio.Runner,
    make_pool: Callable[[], PipePool],
    make_pair: MakePair,
    make_far_pair: MakeFarPair,
) -> Iterator[Joint]:
    """A relay that is not started; at the end of the test both sockets and all pipes are free."""
    pool = make_pool()
    made = Joint(dataclasses.replace(engine, pipes=pool), make_pair, make_far_pair)
    with closing(made.program, made.server):
        yield made
        made.relay.abort()
        runner.run(turns())
        pool.close()
    assert len(made.ends) == 1, "the end is told once"
    assert made.local.fileno() == made.remote.fileno() == -1
    assert pool.lent == 0, "a pipe was not given back"
    assert not engine.watchdog._watched


PATTERN = random.Random(1).randbytes(MIB + 7)


def some_octets(size: int) -> bytes:
    """`size` octets in which nothing can be out of place unnoticed."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all of `data`, however long it takes."""
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def receive(sock: socket.socket, size: int) -> bytes:
    """`size` octets, or fewer where the peer ends before; raises ConnectionResetError as the peer aborts."""
    loop, found = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(20):
        while len(found) < size and (data := await loop.sock_recv(sock, min(MIB, size - len(found)))):
            found += data
    return bytes(found)


async def receive_all(sock: socket.socket) -> bytes:
    """As `receive`, until the peer ends."""
    return await receive(sock, 1 << 40)


def pumps(joint: Joint) -> tuple[Pump, Pump]:
    """Of the way up and the way down."""
    return joint.relay._up, joint.relay._down


# --- what passes


async def test_both_ways(joint: Joint) -> None:
    """What each side says the other hears, and it is counted."""
    joint.start()
    await send(joint.program, b"question")
    assert await receive(joint.server, 8) == b"question"
    await send(joint.server, b"answer")
    assert await receive(joint.program, 6) == b"answer"
    assert (joint.relay.sent, joint.relay.received) == (8, 6)


async def test_bulk(joint: Joint) -> None:
    """64 MB down and 16 MB up at the same time arrive as they were sent."""
    up, down = some_octets(16 * MIB), some_octets(64 * MIB)

    async def sent_and_ended(sock: socket.socket, data: bytes) -> None:
        await send(sock, data)
        sock.shutdown(socket.SHUT_WR)

    joint.start()
    _, _, heard_up, heard_down = await asyncio.gather(
        sent_and_ended(joint.program, up),
        sent_and_ended(joint.server, down),
        receive_all(joint.server),
        receive_all(joint.program),
    )
    assert hashlib.sha256(heard_up).digest() == hashlib.sha256(up).digest()
    assert hashlib.sha256(heard_down).digest() == hashlib.sha256(down).digest()
    assert await joint.end() is End.FINISHED
    assert (joint.relay.sent, joint.relay.received) == (16 * MIB, 64 * MIB)


async def chat(joint: Joint, seed: int) -> None:
    """Both sides send and read in pieces of random length, stop now and then, and end one after the other."""
    dice = random.Random(seed)
    loop = asyncio.get_running_loop()

    def length() -> int:
        return dice.choice((1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, dice.randrange(1, 300_000)))

    async def speak(sock: socket.socket, data: bytes) -> None:
        start = 0
        while start < len(data):
            size = length()
            await loop.sock_sendall(sock, data[start : start + size])
            start += size
            if dice.random() < 0.3:
                await asyncio.sleep(0)
        sock.shutdown(socket.SHUT_WR)

    async def listen(sock: socket.socket) -> bytes:
        found = bytearray()
        while data := await loop.sock_recv(sock, length()):
            found += data
            if dice.random() < 0.1:
                await asyncio.sleep(0.001)
        return bytes(found)

    up, down = dice.randbytes(4 * MIB), dice.randbytes(6 * MIB)
    async with asyncio.timeout(30):
        _, _, heard_up, heard_down = await asyncio.gather(
            speak(joint.program, up), speak(joint.server, down), listen(joint.server), listen(joint.program)
        )
    assert heard_up == up
    assert heard_down == down
    assert await joint.end() is End.FINISHED


@pytest.mark.parametrize("seed", range(3))
async def test_any_pieces(joint: Joint, seed: int) -> None:
    """However the octets are cut when sent and when read, they arrive."""
    joint.start()
    await chat(joint, seed)


async def test_small_pipes(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    """With pipes of one page, as the kernel leaves them to a user over the limit, it is only slower."""
    monkeypatch.setattr(pipes, "CAPACITY", 4096)

    joint.start()
    await chat(joint, 3)


class FlakyPool(PipePool):
    """Lends only now and then, as where descriptors come and go."""

    def __init__(self) -> None:
        super().__init__()
        self._dice = random.Random(0)

    def borrow(self) -> Pipe | None:
        return super().borrow() if self._dice.random() < 0.5 else None


@pytest.mark.parametrize("make_pool", [FlakyPool])
async def test_pipes_that_come_and_go(joint: Joint) -> None:
    """A stream may splice at one time and copy at another."""
    joint.start()
    await chat(joint, 4)


@pytest.mark.parametrize("make_pair", [unix_pair])
async def test_program_on_a_unix_socket(joint: Joint) -> None:
    """The local side may be a Unix socket."""
    joint.start()
    await chat(joint, 5)


async def test_urgent_data_stalls_nothing(joint: Joint) -> None:
    """What follows urgent data arrives without more having to come."""
    joint.start()
    await turns()
    joint.program.send(b"before")
    joint.program.send(b"!", socket.MSG_OOB)
    joint.program.send(b"after")
    heard = b""
    while not heard.endswith(b"after"):
        heard += await receive(joint.server, 1)
    assert heard in (b"beforeafter", b"before!after")


# --- ends, each way on its own


async def test_program_ends_first(joint: Joint) -> None:
    """After the program's FIN the server's 10 MB still arrive, and then its FIN."""
    late = some_octets(10 * MIB)

    joint.start()
    await send(joint.program, b"question")
    joint.program.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.server) == b"question"
    await asyncio.gather(
        send(joint.server, late[: 5 * MIB]), turns(10), read_exactly(joint.program, late[: 5 * MIB])
    )
    assert not joint.ends, "one direction lives"
    await asyncio.gather(send(joint.server, late[5 * MIB :]), read_exactly(joint.program, late[5 * MIB :]))
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    assert await joint.end() is End.FINISHED


async def read_exactly(sock: socket.socket, data: bytes) -> None:
    """Fail where not `data` is what comes."""
    assert await receive(sock, len(data)) == data


async def test_server_ends_first(joint: Joint) -> None:
    """After the server's FIN the program's 10 MB still arrive, and then its FIN."""
    late = some_octets(10 * MIB)

    joint.start()
    await send(joint.server, b"welcome")
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b"welcome"
    await asyncio.gather(send(joint.program, late), read_exactly(joint.server, late))
    assert not joint.ends, "one direction lives"
    joint.program.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.server) == b""
    assert await joint.end() is End.FINISHED


async def test_end_behind_bulk_for_a_slow_reader(joint: Joint) -> None:
    """A FIN waits behind what came before it, and its edge is not lost while the sink is full."""
    data = some_octets(12 * MIB)

    joint.start()

    async def speak() -> None:
        await send(joint.server, data)
        joint.server.shutdown(socket.SHUT_WR)

    speaking = asyncio.create_task(speak())
    await until(lambda: pumps(joint)[1].last is Turn.FULL, "the program's buffers are full")
    await turns()
    assert await receive_all(joint.program) == data
    await speaking


# --- aborts


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_when_idle(joint: Joint, aborting: str) -> None:
    """A reset on one side is a reset on the other."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    await send(joint.server, b"answer")
    await receive(joint.program, 6)
    there, here = sides(joint, aborting)
    reset(there)
    with pytest.raises(ConnectionResetError):
        await receive_all(here)
    assert await joint.end() is End.ABORTED


def sides(joint: Joint, first: str) -> tuple[socket.socket, socket.socket]:
    """Both outer sockets, the one named `first` first."""
    pair = (joint.program, joint.server)
    return pair if first == "program" else pair[::-1]


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_by_a_stalled_reader(joint: Joint, aborting: str) -> None:
    """Who does not read may abort: the sender, whose octets wait in the relay, hears of it."""
    joint.start()
    there, here = sides(joint, aborting)
    await send(there, b"x")
    await receive(here, 1)
    await until_stalled(joint, here)
    reset(there)
    with pytest.raises(ConnectionResetError):
        await receive_all(here)
    assert await joint.end() is End.ABORTED


async def until_stalled(joint: Joint, sender: socket.socket) -> int:
    """Send without end until all buffers are full; gives how many octets were taken."""
    taken = still = 0
    while still < 20:
        more = fill(sender)
        taken += more
        still = 0 if more else still + 1
        await asyncio.sleep(0.001)
    return taken


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_by_a_stalled_sender(joint: Joint, aborting: str) -> None:
    """Who cannot send on, because the other side does not read, may abort: it is an abort there too."""
    joint.start()
    there, here = sides(joint, aborting)
    await send(here, b"x")
    await receive(there, 1)
    await until_stalled(joint, there)
    reset(there)
    assert await joint.end() is End.ABORTED
    with pytest.raises(ConnectionResetError):
        await receive_all(here)


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_abort_after_an_end(joint: Joint, aborting: str) -> None:
    """A side that has sent its FIN may abort later: the other one hears of it."""
    joint.start()
    there, here = sides(joint, aborting)
    await send(there, b"last words")
    there.shutdown(socket.SHUT_WR)
    assert await receive_all(here) == b"last words"
    await send(here, b"unread")
    await turns()
    reset(there)
    assert await joint.end() is End.ABORTED
    await turns()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_without_end(here)


async def send_without_end(sock: socket.socket) -> None:
    """Send until there is an error."""
    while True:
        await send(sock, bytes(1000))
        await turns(1)


async def test_end_and_abort_at_once(joint: Joint) -> None:
    """A FIN and an RST that come together are an abort, though a read finds only the end."""
    joint.start()
    await send(joint.server, b"unread")
    await turns()
    joint.program.shutdown(socket.SHUT_WR)
    reset(joint.program)
    assert await joint.end() is End.ABORTED
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_without_end(joint.server)


@pytest.mark.parametrize("bulk", [False, True])
async def test_abort_from_here(joint: Joint, bulk: bool) -> None:  # noqa: FBT001  a parameter of the test
    """`abort` resets both sides, also in the middle of a stream; a second time it does nothing."""
    joint.start()
    if bulk:
        await until_stalled(joint, joint.server)
        assert pumps(joint)[1].held
    joint.relay.abort()
    joint.relay.abort()
    assert joint.ends == [End.ABORTED]
    for sock in (joint.program, joint.server):
        with pytest.raises(ConnectionResetError):
            await receive_all(sock)


async def test_a_late_reset_takes_nothing_back(joint: Joint) -> None:
    """What the server said and ended stays readable, though it then resets what the program still sends."""
    answer = some_octets(6 * MIB)

    joint.program.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)

    async def answer_and_go() -> None:
        await send(joint.server, answer)
        joint.server.shutdown(socket.SHUT_WR)

    heard = bytearray()

    def has_passed_on_the_end() -> bool:
        """Room is made only where it is waited for: how much the buffers hold is the system's to say."""
        if pumps(joint)[1].last is Turn.FULL:
            with contextlib.suppress(BlockingIOError):
                heard.extend(joint.program.recv(65_536))
        return pumps(joint)[1].last is Turn.ENDED

    answering = asyncio.create_task(answer_and_go())
    heard += await receive(joint.program, 3 * MIB)
    await until(has_passed_on_the_end, "the relay has passed on the end")
    assert len(heard) < len(answer)
    await answering
    joint.server.close()
    await send(joint.program, b"one more question")
    assert await joint.end() is End.ABORTED
    heard += await receive_all(joint.program)
    assert heard == answer


# --- a server that says yes and means no


@pytest.mark.parametrize("spoken", [b"", b"question"])
async def test_rejected(joint: Joint, spoken: bytes) -> None:
    """A server that ends before anything passed has refused: the program reads a reset."""
    joint.program.send(spoken)
    joint.server.shutdown(socket.SHUT_WR)
    await turns()
    joint.start()
    assert await joint.end() is End.REJECTED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.program)


async def test_rejected_by_reset(joint: Joint) -> None:
    """The same where it ends with a reset."""
    joint.start()
    await turns()
    reset(joint.server)
    assert await joint.end() is End.REJECTED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.program)


async def test_unanswered(joint: Joint) -> None:
    """A server that ends without answering what the program said: to the program a clean end."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    assert not joint.ends
    joint.program.shutdown(socket.SHUT_WR)
    assert await joint.end() is End.UNANSWERED


async def test_unanswered_by_reset(joint: Joint) -> None:
    """A server that is reset before it answers what the program said: the program is reset, and told why."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    reset(joint.server)
    assert await joint.end() is End.UNANSWERED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.program)


async def test_unanswered_and_then_aborted(joint: Joint) -> None:
    """What the program does after an end without answer does not change what the server did."""
    joint.start()
    await send(joint.program, b"question")
    await receive(joint.server, 8)
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    reset(joint.program)
    assert await joint.end() is End.UNANSWERED
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await send_without_end(joint.server)


async def test_silence_after_the_program_ended(joint: Joint) -> None:
    """A server that ends without a word after the program's end has nothing to answer for."""
    joint.start()
    joint.program.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.server) == b""
    joint.server.shutdown(socket.SHUT_WR)
    assert await receive_all(joint.program) == b""
    assert await joint.end() is End.FINISHED


# --- what came before the start


async def test_leftover_first(joint: Joint) -> None:
    """What came behind the server's reply is heard first, and then what came since."""
    await send(joint.server, b" and the rest")
    await turns()
    joint.start(leftover=b"the beginning")
    assert await receive(joint.program, 26) == b"the beginning and the rest"
    assert joint.relay.received == 26


@pytest.mark.parametrize("rest", [b"", b" and the rest"])
async def test_leftover_with_the_end(joint: Joint, rest: bytes) -> None:
    """A server that answered and ended together with its reply is heard to the end."""
    joint.server.send(rest)
    joint.server.shutdown(socket.SHUT_WR)
    await turns()
    joint.start(leftover=b"the beginning")
    assert await receive_all(joint.program) == b"the beginning" + rest
    joint.program.shutdown(socket.SHUT_WR)
    assert await joint.end() is End.FINISHED


async def test_leftover_alone(joint: Joint) -> None:
    """What came behind the reply is heard although nothing came since."""
    await turns()
    joint.edges["remote"] = 0
    joint.start(leftover=b"the beginning")
    assert await receive(joint.program, 13) == b"the beginning"
    await send(joint.server, b" and the rest")
    assert await receive(joint.program, 13) == b" and the rest"


async def test_leftover_for_a_program_that_left(joint: Joint) -> None:
    """What cannot be delivered because the program has gone is no rejection by the server."""
    reset(joint.program)
    await turns()
    joint.edges["local"] = 0
    joint.start(leftover=b"the beginning")
    assert await joint.end() is End.ABORTED


async def test_program_ended_before_the_start(joint: Joint) -> None:
    """A program that spoke and ended while the way was made is heard, to the end."""
    await send(joint.program, b"question")
    joint.program.shutdown(socket.SHUT_WR)
    await turns()
    joint.start()
    assert await receive_all(joint.server) == b"question"
    await send(joint.server, b"answer")
    assert await receive(joint.program, 6) == b"answer"


async def test_program_aborted_before_the_start(joint: Joint) -> None:
    """A program that aborted while the way was made ends it."""
    await turns()
    reset(joint.program)
    await turns()
    joint.start()
    assert await joint.end() is End.ABORTED
    with pytest.raises(ConnectionResetError):
        await receive_all(joint.server)


@pytest.mark.parametrize("aborting", ["program", "server"])
async def test_error_before_the_start(joint: Joint, aborting: str, way: Way) -> None:
    """An error that was told before the start is an abort, though a read may now find a mere end."""
    if way.tls and aborting == "server":
        pytest.skip("what the server said may be lost in what is between")
    await send(joint.server, b"welcome")
    await turns()
    there, here = sides(joint, aborting)
    reset(there)
    await turns()
    ours, side = (joint.local, "local") if aborting == "program" else (joint.remote, "remote")
    ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # as who looks for errors does
    joint.edges[side] |= READABLE
    joint.start()
    assert joint.ends == [End.ABORTED]
    if aborting == "program":
        with pytest.raises(ConnectionResetError):
            await receive_all(here)


# --- what it costs the others


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


# --- what is left


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
