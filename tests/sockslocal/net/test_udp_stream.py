"""UDP over TCP over each poller and each engine of datagrams."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fakes.engine import POLLERS, Told, turns, until, way_to
from fakes.sockets import closing, fill, read_available, reset, tcp_pair, udp_pair
from fakes.socks5_server import FakeServer, Script, StreamFormat
from fakes.targets import udp_echo
from sockslocal.address import Endpoint
from sockslocal.net import poller as poller_module
from sockslocal.net import udp_stream, watchdog
from sockslocal.net.datagrams import MAX_DATAGRAM, SLOTS, Batch, PlainBatch, best_batch
from sockslocal.net.dialer import Dial
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S
from sockslocal.net.poller import OUT, READABLE, Poller
from sockslocal.net.udp_stream import MAX_HELD, UdpStream
from sockslocal.socks5.datagram import encode_header
from sockslocal.socks5.errors import RemoteError
from sockslocal.socks5.udp_over_tcp import FRAMINGS, Framing

HEADER = b"\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x35"
OTHER = b"\x00\x00\x00\x03\x0bdb.internal\x15\x38"
LONGEST_FRAME = 65_797

UOT, HEV, GOST = FRAMINGS["uot-v1"], FRAMINGS["hev"], FRAMINGS["gost"]


@pytest.fixture(params=POLLERS, ids=["best", "loop"])
def poller(request: pytest.FixtureRequest) -> Callable[[], Poller]:
    """What the engine has."""
    made: Callable[[], Poller] = request.param
    return made


@pytest.fixture(params=[best_batch, PlainBatch], ids=["best", "plain"])
def batch(request: pytest.FixtureRequest) -> Callable[[], Batch]:
    """What the engine has."""
    made: Callable[[], Batch] = request.param
    return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's poller looks for resets more often."""
    monkeypatch.setattr(poller_module, "LOOK_S", 0.01)


class Line:
    """A stream, the server's end of it, and what it has told."""

    def __init__(self, engine: Engine, framing: Framing, log: list[str] | None = None) -> None:
        self.engine = engine
        self.framing = framing
        self.name = ""
        self.log = [] if log is None else log
        """The line's name for each batch."""
        self.datagrams: list[bytes] = []
        self.endings: list[RemoteError | None] = []
        self.then: Callable[[], object] = lambda: None
        """Done with each batch."""
        self.sock, self.server = tcp_pair()
        engine.poller.register(self.sock, lambda _: None)
        self.stream = UdpStream(engine, self.sock, framing, self._received, self.endings.append)

    def frame(self, payload: bytes, header: bytes = HEADER) -> bytes:
        """As the framing has it."""
        frame = self.framing.encode(header, payload)
        assert frame is not None
        return frame

    def say(self, *payloads: bytes) -> None:
        """Have the server send these in one piece."""
        data = b"".join(map(self.frame, payloads))
        assert self.server.send(data) == len(data)

    def send(self, payloads: list[bytes], header: bytes = HEADER) -> int:
        """Send a batch of these; gives how many were taken."""
        assert self.engine.batch.hold(payloads) == len(payloads)
        return self.stream.send(header, self.engine.batch, range(len(payloads)))

    async def hear(self, size: int) -> bytes:
        """So many octets, as the server reads them."""
        found, loop = bytearray(), asyncio.get_running_loop()
        async with asyncio.timeout(20):
            while len(found) < size and (data := await loop.sock_recv(self.server, size - len(found))):
                found += data
        return bytes(found)

    def _received(self, batch: Batch, count: int) -> None:
        assert batch is self.engine.batch
        self.log.append(self.name)
        self.datagrams += [bytes(batch.payload(index)) for index in range(count)]
        self.then()


@pytest.fixture
def framing() -> Framing:
    """What the line has; to be parametrized."""
    return UOT


@pytest.fixture
def line(engine: Engine, framing: Framing) -> Iterator[Line]:
    """One that is not started, and is closed at the end."""
    made = Line(engine, framing)
    with closing(made.server):
        yield made
        made.stream.close()


each_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=list(FRAMINGS))


async def until_there(sock: socket.socket, size: int) -> None:
    """Wait until so many octets can be read, without reading them."""
    await until(lambda: len(sock.recv(size, socket.MSG_PEEK)) == size, f"{size} octets have come")


# --- what passes


@each_framing
async def test_both_ways(line: Line) -> None:
    """Datagrams leave as frames, many or one, behind what opens the stream; frames come as datagrams."""
    line.stream.start()
    assert line.send([b"one", b"two"]) == 2
    assert line.stream.send_one(OTHER, b"three")
    expected = line.framing.opening + line.frame(b"one") + line.frame(b"two") + line.frame(b"three", OTHER)
    assert await line.hear(len(expected)) == expected
    line.say(b"four", b"five")
    await until(lambda: len(line.datagrams) == 2, "both")
    line.server.send(line.frame(b"six", OTHER))
    await until(lambda: len(line.datagrams) == 3, "one more")
    assert line.datagrams == [HEADER + b"four", HEADER + b"five", OTHER + b"six"]
    assert line.endings == []


@pytest.mark.parametrize("framing", [FRAMINGS["uot-v2"]], ids=["uot-v2"])
async def test_the_opening_waits_for_a_frame(line: Line) -> None:
    """It leaves in one piece with the first, so that it costs no packet of its own."""
    line.stream.start()
    assert not line.stream.send_one(HEADER, bytes(70_000))
    assert line.send([]) == 0
    await turns()
    assert read_available(line.server) == b""
    assert line.stream.send_one(HEADER, b"x")
    assert read_available(line.server) == line.framing.opening + line.frame(b"x")


async def test_datagrams_can_be_sent_on(line: Line) -> None:
    """As those of an association, without their header, to whoever was heard before."""
    here, program = udp_pair()
    with closing(here, program):
        program.send(b"question")
        assert line.engine.batch.receive(here) == 1
        peer = line.engine.batch.peer(0)
        here.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind(program.getpeername())
            line.then = lambda: line.engine.batch.send(out, range(2), skip=len(HEADER), peer=peer)
            line.stream.start()
            line.say(b"one", b"two")
            await until(lambda: line.datagrams, "both")
            assert [program.recv(10), program.recv(10)] == [b"one", b"two"]


@pytest.mark.parametrize("framing", [UOT, HEV, GOST], ids=["uot", "hev", "gost"])
async def test_frames_in_pieces(line: Line) -> None:
    """Wherever the network cuts them."""
    line.stream.start()
    data = line.frame(b"one") + line.frame(b"two", OTHER)
    for octet in data:
        line.server.send(bytes((octet,)))
        await turns(1)
    await until(lambda: len(line.datagrams) == 2, "both")
    assert line.datagrams == [HEADER + b"one", OTHER + b"two"]


@pytest.mark.parametrize("framing", [GOST], ids=["gost"])
async def test_what_the_framing_cannot_say(line: Line) -> None:
    """It is not taken, what is beside it is."""
    line.stream.start()
    assert line.send([b"one", b"", b"two"]) == 2
    assert not line.stream.send_one(HEADER, b"")
    expected = line.frame(b"one") + line.frame(b"two")
    assert await line.hear(len(expected)) == expected


async def test_what_no_datagram_can_hold(line: Line) -> None:
    """A frame may be that long; it is left out, and the next one passes."""
    line.stream.start()
    longest = MAX_DATAGRAM - len(HEADER)
    sending = asyncio.get_running_loop().sock_sendall(
        line.server, line.frame(bytes(longest + 1)) + line.frame(bytes(longest)) + line.frame(b"next")
    )
    await asyncio.wait_for(sending, 20)
    await until(lambda: len(line.datagrams) == 2, "both")
    assert line.datagrams == [HEADER + bytes(longest), HEADER + b"next"]


# --- what came before the start


@pytest.mark.parametrize("rest", [b"", b"and more"])
async def test_leftover(line: Line, rest: bytes) -> None:
    """What came behind the reply is heard first, complete or not, and what came since without a new edge."""
    first, second = line.frame(b"first"), line.frame(b"second" + rest)
    line.server.send(second[5:])
    await until_there(line.sock, len(second) - 5)
    await turns()
    line.stream.start(first + second[:5])
    await until(lambda: len(line.datagrams) == 2, "both")
    assert line.datagrams == [HEADER + b"first", HEADER + b"second" + rest]


async def test_garbage_behind_the_reply(line: Line) -> None:
    """It ends the stream as it begins."""
    line.stream.start(b"HTTP/1.1")
    assert [type(error).__name__ for error in line.endings] == ["FramingError"]
    assert line.sock.fileno() == -1


# --- a slow server


def held(line: Line) -> int:
    """How many octets wait in the stream."""
    return len(line.stream._held)


async def test_a_slow_server(line: Line) -> None:
    """What is too much for it is dropped, and counted; little waits, and what was taken comes whole."""
    line.stream.start()
    await turns()
    taken: list[bytes] = []
    count = SLOTS
    while count == SLOTS:
        payloads = [(len(taken) + index).to_bytes(4) * 300 for index in range(SLOTS)]
        count = line.send(payloads)
        taken += payloads[:count]
    assert held(line) >= MAX_HELD
    assert not line.stream.send_one(HEADER, b"too late")
    assert line.send([b"too late"]) == 0
    assert held(line) <= MAX_HELD + LONGEST_FRAME
    expected = b"".join(map(line.frame, taken))
    assert await line.hear(len(expected)) == expected
    await until(lambda: not held(line), "all is sent")
    assert line.stream.send_one(HEADER, b"in time")
    assert await line.hear(len(line.frame(b"in time"))) == line.frame(b"in time")


async def test_the_longest_datagrams(line: Line) -> None:
    """Many of them at once are no reason to hold more."""
    line.stream.start()
    payloads = [bytes([number]) * 65_000 for number in range(SLOTS)]
    count = line.send(payloads) + line.send(payloads)
    assert count < 2 * SLOTS
    assert held(line) <= MAX_HELD + LONGEST_FRAME
    expected = b"".join(map(line.frame, (payloads + payloads)[:count]))
    assert await line.hear(len(expected)) == expected


async def test_a_full_socket_is_not_asked_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the poller tells that there is room; and that there is room is no news while nothing waits."""
    calls: list[int] = []
    line.stream.start()
    queued = fill(line.sock)
    counted: Any = Counted(line.sock, calls)
    line.stream._sock = counted
    assert line.send([b"one"]) == 1
    assert calls == [0]
    assert line.send([b"two"]) == 1
    assert line.stream.send_one(HEADER, b"three")
    assert calls == [0]
    frames = line.frame(b"one") + line.frame(b"two") + line.frame(b"three")
    assert (await line.hear(queued + len(frames)))[queued:] == frames
    assert calls[1:] == [len(frames)]
    line.stream._ready(OUT)
    assert len(calls) == 2


class Counted:
    """A socket, and how much each call of `send` took."""

    def __init__(self, sock: socket.socket, calls: list[int], most: int = 1 << 30) -> None:
        self._sock = sock
        self._calls = calls
        self._most = most

    def send(self, data: bytes) -> int:
        self._calls.append(0)
        self._calls[-1] = self._sock.send(memoryview(data)[: self._most])
        return self._calls[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


async def test_a_socket_that_takes_little_at_a_time(line: Line) -> None:
    """TLS takes a record for each call, though there is room for more: no edge would tell."""
    calls: list[int] = []
    line.stream.start()
    tls: Any = Counted(line.sock, calls, most=16)
    line.stream._sock = tls
    assert line.send([b"x" * 20, b"y" * 20]) == 2
    assert calls == [16, 16, 16, 10]
    expected = line.frame(b"x" * 20) + line.frame(b"y" * 20)
    assert await line.hear(len(expected)) == expected


class Owing(Counted):
    """A socket that takes octets and says so only when it is asked again."""

    owed = b""

    def send(self, data: bytes) -> int:
        if not self.owed:
            self.owed = bytes(data)
            raise BlockingIOError
        said, self.owed = self.owed, b""
        assert data[: len(said)] == said, "the same octets have to be sent next"
        return self._sock.send(said)


async def test_a_socket_that_has_taken_what_it_does_not_tell(line: Line) -> None:
    """TLS has encrypted them by then: they are offered again, with what came meanwhile behind them."""
    line.stream.start()
    tls: Any = Owing(line.sock, [])
    line.stream._sock = tls
    assert line.send([b"one"]) == 1
    assert line.send([b"two"]) == 1
    line.stream._ready(OUT)
    assert await line.hear(len(line.frame(b"one"))) == line.frame(b"one")
    line.stream._ready(OUT)
    assert await line.hear(len(line.frame(b"two"))) == line.frame(b"two")
    assert held(line) == 0


# --- what it costs the others


async def test_a_flood_lets_the_others_have_their_turn(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However small its datagrams are; none is forgotten, and they come in their order."""
    monkeypatch.setattr(udp_stream, "ROUNDS", 2)
    log: list[str] = []
    flooded, other = Line(engine, UOT, log), Line(engine, UOT, log)
    flooded.name, other.name = "flooded", "other"
    with closing(flooded.server, other.server):
        sent = [number.to_bytes(2) for number in range(5 * SLOTS)]
        flooded.say(*sent)
        other.say(b"may I?")
        await until_there(flooded.sock, len(sent) * len(flooded.frame(b"xx")))
        await until_there(other.sock, 1)
        other.then = other.stream.close
        flooded.stream.start()
        other.stream.start()
        await until(lambda: len(flooded.datagrams) == len(sent), "all")
        assert flooded.datagrams == [HEADER + payload for payload in sent]
        assert log.count("flooded") == 5
        assert log.index("other") <= 2
        flooded.stream.close()


async def test_one_turn_is_one_share(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the poller tells meanwhile that there is more."""
    monkeypatch.setattr(udp_stream, "ROUNDS", 1)
    line.say(*[b"x"] * (2 * SLOTS))
    await until_there(line.sock, 2 * SLOTS * len(line.frame(b"x")))
    line.stream.start()
    line.stream._ready(READABLE)
    assert len(line.datagrams) == SLOTS
    await until(lambda: len(line.datagrams) == 2 * SLOTS, "the rest")


async def test_a_busy_stream_is_read_to_the_end(line: Line) -> None:
    """Many turns' worth, while it comes."""
    line.stream.start()
    payloads = [number.to_bytes(4) * 300 for number in range(4_000)]
    data = b"".join(map(line.frame, payloads))
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(line.server, data), 20)
    await until(lambda: len(line.datagrams) == len(payloads), "all")
    assert line.datagrams == [HEADER + payload for payload in payloads]


# --- the end


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("before", [False, True])
async def test_its_end_is_told_once(line: Line, how: str, *, before: bool) -> None:
    """By FIN or RST, after it began or before; then it is closed."""
    if not before:
        line.stream.start()
        await turns()
        assert line.endings == []
    if how == "fin":
        line.server.close()
    else:
        reset(line.server)
    if before:
        await turns()
        line.stream.start()
    await until(lambda: line.endings, "the end")
    await turns()
    assert line.endings == [None]
    assert line.stream.closed
    assert line.sock.fileno() == -1


async def test_what_came_before_the_end(line: Line) -> None:
    """It is heard; what the end cuts is not."""
    line.stream.start()
    line.server.send(line.frame(b"farewell") + line.frame(b"cut")[:-1])
    line.server.close()
    await until(lambda: line.endings, "the end")
    assert line.datagrams == [HEADER + b"farewell"]
    assert line.endings == [None]


@pytest.mark.parametrize("framing", [UOT, HEV, GOST], ids=["uot", "hev", "gost"])
async def test_garbage(line: Line) -> None:
    """It ends the stream, with what is to be told to a user; what came before was heard."""
    line.stream.start()
    line.say(b"one")
    await until(lambda: line.datagrams, "one")
    line.server.send(b"HTTP/1.1 400 Bad Request" * 100)
    await until(lambda: line.endings, "the end")
    (error,) = line.endings
    assert error is not None
    assert error.problem_at("proxy:1080", "office").code == "udp-unsupported"
    assert line.datagrams == [HEADER + b"one"]
    await turns()
    assert len(line.endings) == 1
    assert line.sock.fileno() == -1


class Broken(Counted):
    """A socket on which no more can be sent, though nothing else tells of it."""

    def send(self, data: bytes) -> int:
        raise OSError("broken")


@pytest.mark.parametrize("how", ["rst", "silent"])
async def test_who_sends_is_not_told_of_the_end_meanwhile(line: Line, how: str) -> None:
    """A send may be the first to find it, in the midst of what its caller does; it is told soon after."""
    line.stream.start()
    if how == "rst":
        reset(line.server)
    else:
        broken: Any = Broken(line.sock, [])
        line.stream._sock = broken
    for _ in range(2):
        line.send([b"x"])
        assert line.stream.send_one(HEADER, b"x")
        assert line.endings == []
    await until(lambda: line.endings, "the end")
    await turns()
    assert line.endings == [None]
    assert line.send([b"x"]) == 0


async def test_aborted_twice(line: Line) -> None:
    """The end is told once."""
    line.stream.start()
    line.stream.abort()
    line.stream.abort()
    assert line.endings == [None]
    with pytest.raises(ConnectionResetError):
        await line.hear(1)


async def test_closed(line: Line) -> None:
    """Nothing is told any more, and nothing is taken."""
    line.stream.start()
    line.say(b"too late")
    await until_there(line.sock, 1)
    line.stream.close()
    line.stream.close()
    line.stream.abort()
    assert line.send([b"x"]) == 0
    assert not line.stream.send_one(HEADER, b"x")
    await turns()
    assert (line.datagrams, line.endings) == ([], [])
    assert line.sock.fileno() == -1


async def test_closed_before_it_starts(line: Line) -> None:
    """As any other."""
    line.stream.close()
    assert line.sock.fileno() == -1
    assert line.endings == []


async def test_closed_by_who_receives(line: Line) -> None:
    """What else has come is not handed over."""
    line.then = line.stream.close
    line.say(*[b"x"] * (2 * SLOTS))
    await until_there(line.sock, 2 * SLOTS * len(line.frame(b"x")))
    line.stream.start()
    await turns()
    assert len(line.datagrams) == SLOTS
    assert line.endings == []


async def test_closed_between_two_turns(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other turn does not come."""
    monkeypatch.setattr(udp_stream, "ROUNDS", 1)
    line.say(*[b"x"] * (2 * SLOTS))
    await until_there(line.sock, 2 * SLOTS * len(line.frame(b"x")))
    line.stream.start()
    line.stream.close()
    await turns()
    assert len(line.datagrams) == SLOTS


async def test_a_bug_of_the_receiver(line: Line, errors: list[str]) -> None:
    """It is logged, and what comes next is handed over."""

    def fail_once() -> None:
        line.then = lambda: None
        raise OSError("a bug")

    line.then = fail_once
    line.stream.start()
    line.say(b"one")
    await until(lambda: errors, "the log")
    assert "a bug" in errors.pop()
    line.say(b"two")
    await until(lambda: len(line.datagrams) == 2, "two")
    assert line.endings == []


async def test_a_server_that_vanishes_is_noticed(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing passes by the system's probes, else by the watchdog; a closed stream is not watched."""
    monkeypatch.setattr(watchdog, "PERIOD_S", 0.02)
    line.stream.start()
    await until(lambda: line.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), "the first look")
    assert line.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == REMOTE_IDLE_S
    monkeypatch.setattr(watchdog, "SILENT_S", 0.0)
    monkeypatch.setattr(watchdog, "ATTEMPTS", 0)
    monkeypatch.setattr(watchdog, "_silence", lambda *_: watchdog._Silence(0.0, 0, 0))
    await until(lambda: line.endings, "the end")
    assert line.endings == [None]
    assert not line.engine.watchdog._watched


# --- with a server


@pytest.mark.parametrize("name", FRAMINGS)
async def test_with_a_server_that_knows_it(engine: Engine, name: str) -> None:
    """From the request on, with one that was written from the formats' descriptions alone."""
    script = Script(formats=frozenset({StreamFormat[name.upper().replace("-", "_")]}))
    datagrams: list[bytes] = []
    endings: list[RemoteError | None] = []
    streams: list[UdpStream] = []

    def received(batch: Batch, count: int) -> None:
        datagrams.extend(bytes(batch.payload(index)) for index in range(count))

    def begin(dial: Dial) -> None:
        streams.append(UdpStream(engine, dial.sock, FRAMINGS[name], received, endings.append))
        streams[0].start(dial.leftover)

    with udp_echo() as echo, FakeServer() as server:
        server.script = script
        refused = Told()
        Dial(engine, way_to(server.address), FRAMINGS[name].request, begin, refused).start()
        await until(lambda: streams or refused.calls, "an answer")
        assert refused.calls == []
        header = encode_header(Endpoint(*echo))
        payloads = [b"x", bytes(1_200), b"y" * 9_000]
        engine.batch.hold(payloads)
        assert streams[0].send(header, engine.batch, range(3)) == 3
        await until(lambda: len(datagrams) == 3 or endings, "three echoes")
        assert sorted(datagrams) == sorted(header + payload for payload in payloads)
        server.stop()
        await until(lambda: endings, "the end")
        assert endings == [None]
