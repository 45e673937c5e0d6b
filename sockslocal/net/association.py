"""One UDP association with the server (RFC 1928 §7): a control connection, and a socket to the relay.

It lives as long as its control connection.
"""

import socket
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.control_connection import ControlConnection
from sockslocal.net.datagram_queue import DatagramQueue
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch, send_one
from sockslocal.net.descriptors import CAPACITY_ERRNOS
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_flow import Flow
from sockslocal.net.udp_relay_address import relay_address
from sockslocal.net.udp_relay_socket import relay_socket
from sockslocal.net.way import Way
from sockslocal.socks5.messages import Command, Request

ASSOCIATE = Request(Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0))  # noqa: S104  asks, binds nothing
"""Zeros: which address the datagrams will come from is not known, and a wrong guess is dropped in silence."""

BRIEF_S = 2.0
"""A server that closes an association within these seconds, before any datagram came, does so every time."""


class Owner(Protocol):
    """Who made an association."""

    def opened(self) -> None:
        """Datagrams can pass, as far as the server says."""

    def proved(self) -> None:
        """A datagram came: it is as the server says."""

    def ended(self, association: "Association", flow: Flow | None, error: ServerError | None) -> None:
        """All of it was closed, once; what becomes of `flow`, which it carried, is the owner's to say."""


class Association:
    """At first it waits for its dial; `start` begins it."""

    def __init__(self, engine: Engine, way: Way, override: ServerAddresses | None, owner: Owner) -> None:
        self._engine = engine
        self._way = way
        self._override = override
        self._owner = owner
        self._ended = False
        self._dial: Dial | None = None
        self._control: ControlConnection | None = None
        self._reader: DatagramReader | None = None
        self._queue = DatagramQueue()
        self._flow: Flow | None = None
        self._opened_at = 0.0
        self._useful = False
        self._bound = Endpoint("", 0)
        self._server = ""

    def start(self, dial: Dial) -> None:
        """Begin with `dial`, whose outcome is told to `dialled` or `failed`."""
        self._dial = dial
        dial.start()

    def attach(self, flow: Flow) -> None:
        """Carry `flow`, the only one."""
        self._flow = flow

    def detach(self, flow: Flow) -> None:
        """Carry `flow` no more; without it the association has no purpose."""
        if self._flow is flow:
            self._flow = None
            self._drop_waiting(flow)
            self.end(None)

    def send(self, flow: Flow, batch: Batch, indices: range) -> int:
        """Send the payloads of `batch` in the name of `flow`, as `Flow.send` says."""
        if self._reader is not None:
            taken = batch.send(self._reader.sock, indices, header=flow.header)
            flow.receiver.sent(batch.octets(indices[:taken]))
            return taken
        return sum(1 - self._queue.add(flow.header + batch.payload(index)) for index in indices)

    def send_payload(self, flow: Flow, payload: bytes) -> bool:
        """Send one payload in the name of `flow`, as `Flow.send_payload` says."""
        if self._reader is not None:
            return _send(self._reader.sock, flow, flow.header + payload)
        self._queue.add(flow.header + payload)
        return True

    def lasts(self, now: float) -> bool:
        """Whether datagrams can pass, and the server has not closed it at once."""
        return self._reader is not None and now - self._opened_at >= BRIEF_S

    def end(self, error: ServerError | None) -> None:
        """Close everything, and give the owner back what it carries."""
        if self._ended:
            return
        self._ended = True
        flow, self._flow = self._flow, None
        self._close()
        if flow is not None:
            self._drop_waiting(flow)
        self._owner.ended(self, flow, error)

    def _close(self) -> None:
        """Close all there is, and let go of what knows of the association."""
        if self._override is not None:
            self._override.drop(self._located)
        if self._dial is not None:
            self._dial.cancel()
        if self._control is not None:
            self._control.close()
        if self._reader is not None:
            self._reader.close()
        self._dial = self._control = self._reader = None

    def failed(self, error: DialError) -> None:
        """The dial failed."""
        self._dial = None
        self.end(error)

    def dialled(self, dial: Dial) -> None:
        """The server has made the association; what it named as its relay may need looking up."""
        self._dial = None
        self._opened_at = self._engine.clock()
        self._bound = dial.bound
        self._server = dial.address[1][0]
        self._control = ControlConnection(self._engine.poller, dial.sock, self._closed_by_server)
        self._control.start()
        if self._ended:
            return
        if self._override is not None:
            self._override.find(self._located)
        else:
            self._located(None)

    def _located(self, override: list[SocketAddress] | OSError | None) -> None:
        """Open the way to the relay, at the address that overrides the server's, if any."""
        if self._control is None:  # it has ended
            return
        if isinstance(override, OSError):
            self._fail("udp-address-unknown", reason=override.strerror)
            return
        try:
            here = self._control.sock.getsockname()[0]
            relay = relay_address(self._bound, self._server, override[0][1][0] if override else None)
            if relay is None:
                self._fail("udp-relay-invalid", relay=self._bound)
            else:
                self._open(relay, relay_socket(relay, self._server, here))
        except OSError as error:
            code = "descriptors-exhausted" if error.errno in CAPACITY_ERRNOS else "udp-relay-invalid"
            self._fail(code, relay=self._bound, limit=self._engine.budget.limit)

    def _open(self, relay: Endpoint, sock: socket.socket) -> None:
        """Datagrams can pass, and those that wait do."""
        self._bound = relay
        self._reader = DatagramReader(self._engine, sock, self._deliver, self._relay_gone)
        self._owner.opened()
        if self._flow is not None:
            self._flow.receiver.opened()
            self._send_waiting(sock, self._flow)

    def _send_waiting(self, sock: socket.socket, flow: Flow) -> None:
        for datagram in self._queue.take():
            if not _send(sock, flow, datagram):
                flow.receiver.dropped(1)

    def _drop_waiting(self, flow: Flow) -> None:
        if dropped := self._queue.take():
            flow.receiver.dropped(len(dropped))

    def _fail(self, code: str, **details: object) -> None:
        self.end(ServerError(self._way.problem(code, **details)))

    def _closed_by_server(self) -> None:
        """The end that RFC 1928 knows; at once and for nothing, it is a server that does not relay."""
        if self._useful or self._engine.clock() - self._opened_at >= BRIEF_S:
            self.end(None)
        else:
            self._fail("udp-unsupported", phrase="it closes each association at once")

    def _relay_gone(self) -> None:
        """Nobody listens at the relay (ICMP), though the control connection lives."""
        if self._useful:
            self.end(None)
        else:
            self._fail("udp-relay-invalid", relay=self._bound)

    def _deliver(self, batch: Batch, count: int) -> None:
        """Hand each run of datagrams with one header to the flow."""
        start = 0
        while start < count and self._flow is not None:
            skip = self._flow.accepted_header(batch.payload(start))
            stop = start + 1
            if skip:
                header = batch.payload(start)[:skip]
                while stop < count and batch.payload(stop)[:skip] == header:
                    stop += 1
                if not self._useful:
                    self._useful = True
                    self._owner.proved()
                self._flow.receiver.received(batch, range(start, stop), skip)
            else:
                self._flow.receiver.dropped(1)
            start = stop


def _send(sock: socket.socket, flow: Flow, datagram: bytes) -> bool:
    """Send `datagram`, which has the flow's header; False where it was dropped."""
    taken = send_one(sock, datagram)
    if taken:
        flow.receiver.sent(len(datagram) - len(flow.header))
    return taken
