"""What `http2` has for itself; the tests of `ask_https` have the rest, before a server."""

import asyncio

import h2.config
import h2.connection
import h2.events
import pytest
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from fakes.dns_tunnel import until
from sockslocal.resolver.errors import LostError, UnusableError
from sockslocal.resolver.http2 import (
    FIRST_STREAMS,
    FRAME_HEADER,
    GOAWAY,
    MAX_FRAME,
    Frames,
    Http2Connection,
    Response,
)


def frame(length: int, kind: int = 0) -> bytes:
    """One of nothing but zeros."""
    return length.to_bytes(3, "big") + bytes((kind,)) + bytes(FRAME_HEADER - 4 + length)


def goaway(last: int, debug: bytes = b"") -> bytes:
    """One that names the last stream; the highest bit means nothing."""
    return (
        frame(8 + len(debug), GOAWAY)[:FRAME_HEADER] + (1 << 31 | last).to_bytes(4, "big") + bytes(4) + debug
    )


@given(st.lists(st.integers(0, 60)), st.integers(1, 40))
def test_frames_in_any_pieces(lengths: list[int], size: int) -> None:
    """Those that may be pass, wherever they are cut; the first that may not is seen by its header."""
    frames = Frames()
    octets = b"".join(map(frame, [*lengths, MAX_FRAME]))
    pieces = (octets[at : at + size] for at in range(0, len(octets), size))
    assert b"".join(map(frames.passed, pieces)) == octets
    header = frame(MAX_FRAME + 1)[:FRAME_HEADER]
    assert frames.passed(header[:-1]) == b""
    with pytest.raises(LostError, match="a frame of a wrong length"):
        frames.passed(header[-1:])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99), st.binary(max_size=9))), st.integers(1, 40))
def test_goaway_is_not_for_the_library(parts: list[tuple[int, int, bytes]], size: int) -> None:
    """All else passes; the last one counts, whatever its debug data (RFC 9113 §6.8)."""
    frames = Frames()
    octets = b"".join(frame(length) + goaway(last, debug) for length, last, debug in parts)
    pieces = (octets[at : at + size] for at in range(0, len(octets), size))
    assert b"".join(map(frames.passed, pieces)) == b"".join(frame(length) for length, _, _ in parts)
    assert frames.last == (parts[-1][1] if parts else None)


def test_a_goaway_without_a_stream_is_none() -> None:
    """It is too short to say anything."""
    with pytest.raises(LostError, match="a frame of a wrong length"):
        Frames().passed(frame(7, GOAWAY))


class Pipe:
    """A stream whose other end is the test."""

    def __init__(self) -> None:
        self.sent = b""
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = False

    async def read(self) -> bytes:
        return await self.incoming.get()

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True


HEADERS = ((":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/"))


async def test_a_body_is_sent_when_there_is_room() -> None:
    """Whole, and then the stream ends (RFC 9113 §6.9)."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5})
    pipe.incoming.put_nowait(server.data_to_send())
    await until(pipe.incoming.empty)
    task = asyncio.create_task(connection.ask(b"question", b""))
    await until(lambda: bool(connection._unsent))
    server.receive_data(pipe.sent)
    server.increment_flow_control_window(3, 1)
    pipe.sent = b""
    pipe.incoming.put_nowait(server.data_to_send())
    await until(lambda: not connection._unsent)
    data, ended, *_ = server.receive_data(pipe.sent)
    assert isinstance(data, h2.events.DataReceived)
    assert data.data == b"question"
    assert isinstance(ended, h2.events.StreamEnded)
    server.send_headers(1, [(":status", "200"), ("age", "7"), ("x", "y")])
    server.send_data(1, b"ans")
    server.send_data(1, b"wer", end_stream=True)
    pipe.incoming.put_nowait(server.data_to_send())
    assert await task == Response(200, {"age": "7"}, b"answer")
    connection.end(LostError("closed"))
    assert pipe.closed


async def test_what_waits_for_its_turn_is_not_sent_to_who_goes_away() -> None:
    """A stream that begins after a GOAWAY is never processed."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    pipe.incoming.put_nowait(server.data_to_send())
    await until(pipe.incoming.empty)
    first, second = (asyncio.create_task(connection.ask(b"question", b"")) for _ in range(2))
    await until(lambda: bool(connection._incoming))
    server.receive_data(pipe.sent)
    pipe.sent = b""
    pipe.incoming.put_nowait(goaway(1))
    await until(lambda: connection.retired)
    server.send_headers(1, [(":status", "200")], end_stream=True)
    pipe.incoming.put_nowait(server.data_to_send())
    assert (await first).status == 200
    with pytest.raises(LostError):
        await second
    assert b"question" not in pipe.sent
    assert pipe.closed


async def test_a_connection_that_is_used_up_takes_no_more() -> None:
    """When all numbers of streams have been (RFC 9113 §5.1.1)."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    connection._http.highest_outbound_stream_id = 2**31 - 1
    with pytest.raises(LostError):
        await connection.ask(b"question", b"")
    assert not connection.usable
    assert pipe.closed


def server_with(settings: dict[SettingCodes | int, int]) -> h2.connection.H2Connection:
    """The other end of a `Pipe`."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    server.update_settings(settings)
    return server


def tell(pipe: Pipe, server: h2.connection.H2Connection) -> list[h2.events.Event]:
    """What the client has sent until now is read, and all that is due is sent to it."""
    sent, pipe.sent = pipe.sent, b""
    events = server.receive_data(sent)
    due = server.data_to_send()
    if due:
        pipe.incoming.put_nowait(due)
    return events


async def test_the_server_says_how_many_streams_there_are() -> None:
    """Few are begun before it has, and no more than it takes after; the others are asked in their turn."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    tasks = [asyncio.create_task(connection.ask(b"question", b"")) for _ in range(3 * FIRST_STREAMS)]
    await until(lambda: len(connection._incoming) == FIRST_STREAMS)
    server = server_with({SettingCodes.MAX_CONCURRENT_STREAMS: FIRST_STREAMS + 2})
    open_streams: set[int] = set()
    for round_ in range(50):
        for event in tell(pipe, server):
            if isinstance(event, h2.events.StreamEnded):
                open_streams.add(event.stream_id)
        assert len(open_streams) <= FIRST_STREAMS + 2
        if round_ > 2 and open_streams:
            number = open_streams.pop()
            server.send_headers(number, [(":status", "200")], end_stream=True)
        for _ in range(5):
            await asyncio.sleep(0)
    assert [(await task).status for task in tasks] == [200] * len(tasks)
    connection.end(LostError("closed"))


async def test_a_server_may_take_no_streams_for_a_while() -> None:
    """Who waits is asked when it does again (RFC 9113 §6.5.2), or told that the connection has ended."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    server = server_with({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    tell(pipe, server)
    await until(pipe.incoming.empty)
    first, second = (asyncio.create_task(connection.ask(b"question", b"")) for _ in range(2))
    await asyncio.sleep(0)
    assert not connection._incoming
    server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    tell(pipe, server)
    await until(lambda: bool(connection._incoming))
    connection.end(LostError("closed"))
    for task in (first, second):
        with pytest.raises(LostError, match="closed"):
            await task


@pytest.mark.parametrize("status", ["abc", "", "²00", "9" * 5_000, "20"])
async def test_a_response_without_a_status_fails_alone(status: str) -> None:
    """The connection goes on (RFC 9113 §8.1.1)."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    server = server_with({})
    first, second = (asyncio.create_task(connection.ask(b"question", b"")) for _ in range(2))
    await until(lambda: len(connection._incoming) == 2)
    tell(pipe, server)
    server.send_headers(1, [(":status", status.encode("latin-1"))])
    tell(pipe, server)
    with pytest.raises(UnusableError, match="a response without a status"):
        await first
    assert any(isinstance(event, h2.events.StreamReset) for event in tell(pipe, server))
    server.send_headers(3, [(":status", "200")], end_stream=True)
    tell(pipe, server)
    assert (await second).status == 200
    connection.end(LostError("closed"))


async def test_an_answer_before_the_whole_question_ends_the_stream() -> None:
    """Else the server would count it among those that are open (RFC 9113 §8.1)."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    server = server_with({SettingCodes.INITIAL_WINDOW_SIZE: 5})
    tell(pipe, server)
    await until(pipe.incoming.empty)
    task = asyncio.create_task(connection.ask(b"question", b""))
    await until(lambda: bool(connection._unsent))
    tell(pipe, server)
    server.send_headers(1, [(":status", "400")], end_stream=True)
    tell(pipe, server)
    assert (await task).status == 400
    assert not connection._unsent
    assert any(isinstance(event, h2.events.StreamReset) for event in tell(pipe, server))
    connection.end(LostError("closed"))


async def test_a_bug_in_reading_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits is told at once, and the log says why."""
    pipe = Pipe()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    task = asyncio.create_task(connection.ask(b"question", b""))
    await until(lambda: bool(connection._incoming))
    monkeypatch.setattr(connection._frames, "passed", lambda _: 1 // 0)
    pipe.incoming.put_nowait(b"x")
    with pytest.raises(LostError, match="internal error"):
        await task
    assert pipe.closed
    assert "ZeroDivisionError" in caplog.text


async def test_who_is_flooded_does_not_answer_without_end() -> None:
    """A server that makes us talk and does not listen loses the connection."""

    class Deaf(Pipe):
        def write(self, data: bytes) -> None:
            super().write(data)
            if len(self.sent) > 1_000:
                raise ConnectionAbortedError("it does not read what it is sent")

    pipe = Deaf()
    connection = Http2Connection(pipe, 60.0, HEADERS)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    server.initiate_connection()
    for _ in range(100):
        server.ping(bytes(8))
    pipe.incoming.put_nowait(server.data_to_send())
    await until(lambda: connection.ended is not None)
    assert str(connection.ended) == "it does not read what it is sent"
