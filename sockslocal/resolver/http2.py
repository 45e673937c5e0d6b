"""One HTTP/2 connection to an upstream, and what is asked on it: each query is a POST (RFC 8484, RFC 9113).

The library's state machine speaks the protocol; what is here bounds what a server may have us keep.
"""

import re
import sys
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from sockslocal.resolver import wire
from sockslocal.resolver.errors import LostError, UnusableError
from sockslocal.resolver.places import Places
from sockslocal.resolver.stream import Stream
from sockslocal.resolver.transport import Connection

MAX_STREAMS = 100
"""Queries at once, or fewer where the server says so; further ones wait their turn."""

FIRST_STREAMS = 8
"""Queries at once until the server has said how many it takes: what is more it refuses."""

MAX_HEADERS = 16_384
"""Octets of the headers of one response, unpacked."""

_SETTINGS = {
    h2.settings.SettingCodes.ENABLE_PUSH: 0,
    h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEADERS,
}

FRAME_HEADER = 9
MAX_FRAME = 16_384
"""Octets of a frame's header, and those that may follow it (RFC 9113 §4.1, §6.5.2)."""

GOAWAY = 7
"""The type of a frame that says which stream is the last to be processed (RFC 9113 §6.8)."""

_GOAWAY_FIXED = 8
_STREAM = 0x7FFFFFFF

_STATUS = re.compile("[0-9]{3}")  # RFC 9110 §15

KEPT = ("content-type", "age")
"""The headers of a response that are looked at."""

Headers = tuple[tuple[str, str], ...]


class Response(NamedTuple):
    """What came in answer to one POST."""

    status: int
    headers: dict[str, str]
    body: bytes


class Frames:
    """Looks at each frame before the library: that would keep one of 16 MB, and reads none after GOAWAY."""

    def __init__(self) -> None:
        self.last: int | None = None
        """The last stream that the server processes, once it has said so."""
        self._frame = b""
        """What there is of a header, or of a GOAWAY."""
        self._left = 0
        self._withheld = False

    def passed(self, data: bytes) -> bytes:
        """What of `data` is for the library.

        Raises LostError for a frame longer than we said that it may be (RFC 9113 §4.2).
        """
        passed = bytearray()
        at = 0
        while at < len(data):
            missing = self._left or FRAME_HEADER - len(self._frame)
            piece = data[at : at + missing]
            at += len(piece)
            if not self._left:
                passed += self._begin(piece)
            elif self._withheld:
                self._withhold(piece)
            else:
                self._left -= len(piece)
                passed += piece
        return bytes(passed)

    def _begin(self, piece: bytes) -> bytes:
        """Take more of a header; gives it when it is whole, unless it is not for the library."""
        self._frame += piece
        if len(self._frame) < FRAME_HEADER:
            return b""
        header, self._frame = self._frame, b""
        self._left = int.from_bytes(header[:3], "big")
        self._withheld = header[3] == GOAWAY
        if self._left > MAX_FRAME or (self._withheld and self._left < _GOAWAY_FIXED):
            raise LostError("no HTTP/2: a frame of a wrong length")
        return b"" if self._withheld else header

    def _withhold(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._frame += piece
        if not self._left:
            self.last = int.from_bytes(self._frame[:4], "big") & _STREAM
            self._frame = b""


class _Incoming:
    """A response that is not complete."""

    __slots__ = ("body", "headers", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()


class Http2Connection(Connection[Response]):
    """One connection; `headers` begin every query."""

    def __init__(self, stream: Stream, idle_s: float, headers: Headers) -> None:
        super().__init__(stream, idle_s)
        config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1")
        self._http = h2.connection.H2Connection(config)
        self._http.local_settings = h2.settings.Settings(client=True, initial_values=_SETTINGS)
        self._headers = headers
        self._frames = Frames()
        self._incoming: dict[int, _Incoming] = {}
        self._unsent: dict[int, bytes] = {}
        """Bodies for which the server has no room yet (RFC 9113 §5.2)."""
        self._places = Places(FIRST_STREAMS)
        self._http.initiate_connection()
        self._flush()

    async def ask(self, message: bytes, question: bytes) -> Response:
        """The response to a POST of `message`, whose id is 0 (RFC 8484 §4.1)."""
        async with self._places:
            if self.retired:
                raise LostError("replaced while the query waited for its turn")
            return await self.exchange(question, partial(self._send, message))

    def _number(self) -> int:
        """The next stream's; raises LostError where there is none left."""
        try:
            return self._http.get_next_available_stream_id()
        except h2.exceptions.ProtocolError as error:
            self.retire()
            raise LostError(str(error)) from None

    def _send(self, message: bytes, number: int) -> None:
        try:
            self._http.send_headers(number, (*self._headers, ("content-length", str(len(message)))))
        except h2.exceptions.ProtocolError as error:
            raise LostError(str(error)) from None
        self._incoming[number] = _Incoming()
        self._unsent[number] = message
        self._send_bodies()
        self._flush()

    def _send_bodies(self) -> None:
        """Send those for which there is room, each whole."""
        for number, body in tuple(self._unsent.items()):
            room = min(self._http.local_flow_control_window(number), self._http.max_outbound_frame_size)
            if len(body) <= room:
                self._http.send_data(number, body, end_stream=True)
                del self._unsent[number]

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data:
            self._stream.write(data)

    def _received(self, data: bytes) -> None:
        data = self._frames.passed(data)
        try:
            for event in self._http.receive_data(data):
                self._take(event)
            self._send_bodies()
        except h2.exceptions.ProtocolError as error:
            raise LostError(f"no HTTP/2: {error}") from None
        finally:
            self._flush()
        if self._frames.last is not None:
            self._finish(self._frames.last)

    def _finish(self, last: int) -> None:
        """Take no more queries: streams up to `last` still have their answers, the others never will."""
        for number in self._waiting:
            if number > last:
                self._fail(number, LostError("it ended the connection"))
        self.retire()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._take_headers(event)
            case h2.events.DataReceived():
                self._take_data(event)
            case h2.events.StreamEnded():
                self._take_end(event.stream_id)
            case h2.events.StreamReset():  # maybe only this connection is no good for it any more
                self._fail(event.stream_id, LostError("it refused the query"))
                self.retire()
            case h2.events.RemoteSettingsChanged():
                allowed = self._http.remote_settings.max_concurrent_streams
                self._places.allow(min(MAX_STREAMS, allowed))

    def _take_headers(self, event: h2.events.ResponseReceived) -> None:
        number = event.stream_id
        incoming = self._incoming.get(number)
        if incoming is None:
            return
        headers = {str(name): str(value) for name, value in event.headers}
        status = headers[":status"]
        if not _STATUS.fullmatch(status):
            self._refuse(number, "a response without a status")
            return
        incoming.status = int(status)
        incoming.headers = {name: headers[name] for name in KEPT if name in headers}

    def _take_data(self, event: h2.events.DataReceived) -> None:
        number = event.stream_id
        self._http.acknowledge_received_data(event.flow_controlled_length, number)
        incoming = self._incoming.get(number)
        if incoming is None:
            return
        incoming.body += event.data
        if len(incoming.body) > wire.STREAM_LIMIT:
            self._refuse(number, "longer than a message can be")

    def _take_end(self, number: int) -> None:
        incoming = self._incoming.get(number)
        if incoming is not None:
            self._heard()
            self._answer(number, Response(incoming.status, incoming.headers, bytes(incoming.body)))

    def _refuse(self, number: int, reason: str) -> None:
        """Take no more of a response that is none."""
        self._fail(number, UnusableError(reason))
        self._cancel(number)

    def _give_up(self, number: int) -> None:
        self._cancel(number)
        super()._give_up(number)

    def _cancel(self, number: int) -> None:
        """Tell the server that nobody wants the response any more."""
        self._incoming.pop(number, None)
        self._unsent.pop(number, None)
        if self.ended is not None:
            return
        with suppress(h2.exceptions.ProtocolError, OSError):
            self._http.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            self._flush()

    def _done(self, number: int) -> None:
        if number in self._unsent:  # answered before it was all there: the server still waits for the rest
            self._cancel(number)
        self._incoming.pop(number, None)
        super()._done(number)

    def _close(self) -> None:
        super()._close()
        self._places.allow(sys.maxsize)  # who waits for a place is told that there is none any more
