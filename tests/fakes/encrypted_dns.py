"""DNS servers inside TLS which do what a test tells them to: by RFC 7858, and by RFC 8484.

    async with HttpsDns(certificate) as server:
        server.status = 503              # for all that is asked from now on
        server.acts.append(Act.GOAWAY)   # for the next query alone

Every name they know; without a certificate they speak no TLS.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from enum import Enum, auto
from types import TracebackType
from typing import NoReturn, Self

import dns.message
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from fakes.accepting import stop_accepting
from fakes.certificates import Certificate
from fakes.dns_tunnel import addresses
from fakes.socks5_wire import Address
from sockslocal.address import Endpoint

MEDIA_TYPE = "application/dns-message"


class Act(Enum):
    """What is done with a query in place of an answer."""

    SILENCE = auto()
    CLOSE = auto()
    GOAWAY = auto()
    """All that were asked before are left without an answer too."""
    RESET = auto()
    """RST_STREAM for this query."""
    HOLD = auto()
    """It is answered when `LAST` comes."""
    LAST = auto()
    """GOAWAY, by which this query will never be processed, and then the answers to those held."""


class LoopbackTunnel:
    """Connects at once, and notes to where."""

    def __init__(self) -> None:
        self.targets: list[Endpoint] = []

    async def open_stream(self, target: Endpoint) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.targets.append(target)
        return await asyncio.open_connection(target.host, target.port)

    def open_flow(self, remote: Endpoint, received: object, lost: object) -> NoReturn:
        raise AssertionError("a datagram for an encrypted upstream")


class _Server:
    """Listens from entry to exit, in the loop that it was entered in."""

    protocol: str | None = None

    def __init__(self, certificate: Certificate | None) -> None:
        self.acts: deque[Act] = deque()
        self.asked: list[bytes] = []
        """The messages, as they came."""
        self.connections = 0
        self.resumed = 0
        """Handshakes that resumed a session."""
        self.certificate = certificate
        self._handling: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self._context())
        self.address: Address = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop_accepting(self._server)
        self._server.close()
        for task, writer in tuple(self._handling.items()):
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports of TLS tell their end in a later turn

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(*self.address)

    def _context(self) -> ssl.SSLContext | None:
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.chain, self.certificate.key)
        if self.protocol is not None:
            context.set_alpn_protocols([self.protocol])
        return context

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handling[task] = writer
        self.connections += 1
        tls = writer.get_extra_info("ssl_object")
        self.resumed += bool(tls is not None and tls.session_reused)
        try:
            with contextlib.suppress(EOFError, OSError):
                await self._serve(reader, writer)
        finally:
            del self._handling[task]
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def _answer(self, message: bytes) -> bytes:
        self.asked.append(message)
        return addresses(dns.message.from_wire(message))[0]


class TlsDns(_Server):
    """By RFC 7858: each message behind its length."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(2), "big")
            answer = self._answer(await reader.readexactly(length))
            act = self.acts.popleft() if self.acts else None
            if act is Act.CLOSE:
                return
            if act is None:
                writer.write(len(answer).to_bytes(2, "big") + answer)


class HttpsDns(_Server):
    """By RFC 8484; `protocol` is what it speaks inside TLS (ALPN)."""

    def __init__(self, certificate: Certificate | None, *, protocol: str | None = "h2") -> None:
        super().__init__(certificate)
        self.protocol = protocol
        self.status = 200
        self.headers = {"content-type": MEDIA_TYPE}
        self.body: bytes | None = None
        """Sent in place of an answer."""
        self.settings: dict[h2.settings.SettingCodes | int, int] = {}
        self.requests: list[dict[str, str]] = []
        self._bodies: dict[int, bytes] = {}
        """What is still to be sent, by stream: one connection at a time has such."""
        self._held: dict[int, bytes] = {}
        self._farewell = b""
        self._closing = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        http.initiate_connection()
        http.update_settings(self.settings)
        bodies: dict[int, bytes] = {}
        while True:
            writer.write(self._farewell + http.data_to_send())
            self._farewell = b""
            data = await reader.read(65_536)
            if not data:
                return
            for event in http.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.requests.append({str(name): str(value) for name, value in event.headers})
                    bodies[event.stream_id] = b""
                elif isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] += event.data
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    self._respond(http, event.stream_id, bodies.pop(event.stream_id))
            self._send(http)
            if self._closing:
                self._closing = False
                return

    def _respond(self, http: h2.connection.H2Connection, number: int, message: bytes) -> None:
        answer = self._answer(message)
        act = self.acts.popleft() if self.acts else None
        if act is Act.GOAWAY:
            http.close_connection(last_stream_id=0)
        elif act is Act.RESET:
            http.reset_stream(number, 7)
        elif act is Act.CLOSE:
            self._closing = True
        elif act is Act.HOLD:
            self._held[number] = answer
        elif act is Act.LAST:
            # By hand: the library sends nothing after a GOAWAY of its own.
            self._farewell = GoAwayFrame(0, last_stream_id=max(self._held, default=0)).serialize()
            while self._held:
                self._begin_answer(http, *self._held.popitem())
        elif act is None:
            self._begin_answer(http, number, answer)

    def _begin_answer(self, http: h2.connection.H2Connection, number: int, answer: bytes) -> None:
        http.send_headers(number, [(":status", str(self.status)), *self.headers.items()])
        self._bodies[number] = answer if self.body is None else self.body

    def _send(self, http: h2.connection.H2Connection) -> None:
        """As much of the bodies as the client has room for."""
        for number in tuple(self._bodies):
            try:
                self._send_body(http, number)
            except h2.exceptions.StreamClosedError:  # the client does not want it any more
                del self._bodies[number]

    def _send_body(self, http: h2.connection.H2Connection, number: int) -> None:
        body = self._bodies[number]
        while room := min(http.local_flow_control_window(number), http.max_outbound_frame_size):
            http.send_data(number, body[:room], end_stream=len(body) <= room)
            self._bodies[number] = body = body[room:]
            if not body:
                del self._bodies[number]
                return
