"""One UDP association with the server (RFC 1928 §7): a control connection, and a socket to the relay.

It lives as long as its control connection. Nothing is ever written on that one after the request: some
servers end the association at any octet.
"""

import socket
from collections import deque
from typing import Protocol

from sockslocal.address import Endpoint, ip_of
from sockslocal.errors import ServerError
from sockslocal.net.binding import DATAGRAM_BUFFER
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import Batch, send_one
from sockslocal.net.descriptors import CAPACITY_ERRNOS
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.keepalive import REMOTE_IDLE_S, keep_alive
from sockslocal.net.poller import READABLE
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.udp_relay_address import relay_address
from sockslocal.net.way import Way
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError
from sockslocal.socks5.messages import Command, Request

ASSOCIATE = Request(Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0))  # noqa: S104  asks, binds nothing
"""Zeros: which address the datagrams will come from is not known, and a wrong guess is dropped in silence."""

MAX_WAITING, MAX_WAITING_OCTETS = 16, 65_536
"""Datagrams, and octets, that wait while an association is made; the oldest are dropped first."""

BRIEF_S = 2.0
"""A server that closes an association within these seconds, before any datagram came, does so every time."""

CONTROL_READS = 16
"""Reads of a control connection before the other sockets have their turn."""


class Receiver(Protocol):
    """Who a flow belongs to."""

    def opened(self) -> None:
        """Datagrams can pass, as far as the server says."""

    def sent(self, octets: int) -> None:
        """Payloads of so many octets together went to the relay."""

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        """Datagrams came, with payloads behind `skip` octets; the batch is good only during the call."""

    def dropped(self, count: int) -> None:
        """So many datagrams came that are not this flow's, or nobody's; or waited, and could not go."""

    def lost(self, error: ServerError | None) -> None:
        """The flow is over; without an error it was idle, or its association ended, and a new one may do."""


class Owner(Protocol):
    """Who made an association."""

    def used(self, flow: "Flow") -> None:
        """`flow` is in use."""

    def opened(self) -> None:
        """Datagrams can pass, as far as the server says."""

    def proved(self) -> None:
        """A datagram came: it is as the server says."""

    def ended(self, association: "Association", flow: "Flow | None", error: ServerError | None) -> None:
        """All of it was closed; `flow` is what it carried. Called once."""


class Flow:
    """Datagrams between one local program and one remote, on an association."""

    __slots__ = ("_association", "by_name", "header", "idle_s", "receiver", "remote")

    def __init__(
        self, association: "Association", remote: Endpoint, receiver: Receiver, idle_s: float
    ) -> None:
        self._association = association
        self.remote = remote
        self.receiver = receiver
        self.idle_s = idle_s
        self.header = encode_header(remote)
        self.by_name = ip_of(remote.host) is None

    def send(self, batch: Batch, indices: range) -> int:
        """Send payloads on; gives how many more are on their way or wait for it than before.

        The receiver hears of those that went, at once or later, by `sent`.
        """
        return self._association.send(self, batch, indices)

    def send_payload(self, payload: bytes) -> bool:
        """Send one payload; False where it was dropped."""
        return self._association.send_payload(self, payload)

    def touch(self) -> None:
        """The flow is in use: it is neither idle nor to be evicted."""
        self._association.owner.used(self)

    def close(self) -> None:
        """End the flow; its receiver hears at most of what still waited, by `dropped`."""
        self._association.detach(self)


class Association:
    """At first it waits for its dial; `start` begins it."""

    def __init__(
        self,
        engine: Engine,
        way: Way,
        override: ServerAddresses | None,
        owner: "Owner",
    ) -> None:
        self._engine = engine
        self._way = way
        self._override = override
        self.owner = owner
        self._ended = False
        self._dial: Dial | None = None
        self._control: socket.socket | None = None
        self._sock: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_octets = 0
        self._opened_at = 0.0
        self._useful = False
        self._reader: DatagramReader | None = None
        self._control_resuming = False
        self._bound = Endpoint("", 0)
        self._server = ""
        self.flow: Flow | None = None

    def start(self, dial: Dial) -> None:
        """Begin with `dial`, whose outcome is told to `dialled` or `failed`."""
        self._dial = dial
        dial.start()

    def attach(self, remote: Endpoint, receiver: Receiver, idle_s: float) -> Flow:
        """The association's flow."""
        self.flow = Flow(self, remote, receiver, idle_s)
        return self.flow

    def detach(self, flow: Flow) -> None:
        """`flow` is not used any more; without it the association has no purpose."""
        if self.flow is flow:
            self.end(None, tell=False)

    def send(self, flow: Flow, batch: Batch, indices: range) -> int:
        """Send the payloads of `batch` in the name of `flow`."""
        if self._sock is not None:
            taken = batch.send(self._sock, indices, header=flow.header)
            flow.receiver.sent(batch.octets(indices[:taken]))
            return taken
        return sum(self._wait(flow.header + batch.payload(index)) for index in indices)

    def send_payload(self, flow: Flow, payload: bytes) -> bool:
        """Send one payload in the name of `flow`."""
        if self._sock is not None:
            return self._send_one(self._sock, flow, flow.header + payload)
        self._wait(flow.header + payload)
        return True

    def _send_one(self, sock: socket.socket, flow: Flow, datagram: bytes) -> bool:
        taken = send_one(sock, datagram)
        if taken:
            flow.receiver.sent(len(datagram) - len(flow.header))
        return taken

    def lasts(self, now: float) -> bool:
        """Whether datagrams can pass, and the server has not closed it at once."""
        return self._sock is not None and now - self._opened_at >= BRIEF_S

    def _wait(self, datagram: bytes) -> int:
        """Have `datagram` wait for the association; gives how many more wait than before."""
        waiting, before = self._waiting, len(self._waiting)
        waiting.append(datagram)
        self._waiting_octets += len(datagram)
        while len(waiting) > MAX_WAITING or (self._waiting_octets > MAX_WAITING_OCTETS and len(waiting) > 1):
            self._waiting_octets -= len(waiting.popleft())
        return len(waiting) - before

    def end(self, error: ServerError | None, *, tell: bool = True) -> None:
        """Close everything and `tell` the flow's receiver."""
        if self._ended:
            return
        self._ended = True
        if self._dial is not None:
            self._dial.cancel()
        if self._override is not None:
            self._override.drop(self._located)
        if self._control is not None:
            self._engine.poller.close(self._control)
        if self._reader is not None:
            self._reader.close()
        flow, self.flow = self.flow, None
        self.owner.ended(self, flow, error)
        if flow is not None and self._waiting:
            flow.receiver.dropped(len(self._waiting))
        if flow is not None and tell:
            flow.receiver.lost(error)

    def failed(self, error: DialError) -> None:
        """The dial failed."""
        self._dial = None
        self.end(error)

    def dialled(self, dial: Dial) -> None:
        """The server has made the association; what it named as its relay may need looking up."""
        self._dial = None
        self._control = dial.sock
        self._opened_at = self._engine.clock()
        keep_alive(dial.sock, REMOTE_IDLE_S)
        self._engine.poller.replace(dial.sock, self._control_ready)
        self._bound = dial.bound
        self._server = dial.address[1][0]
        self._read_control()
        if self._override is not None and not self._ended:
            self._override.find(self._located)
        else:
            self._located(None)

    def _located(self, override: list[SocketAddress] | OSError | None) -> None:
        """Open the way to the relay, at the address that overrides the server's, if any."""
        if self._ended or self._control is None:
            return
        if isinstance(override, OSError):
            self._fail("udp-address-unknown", reason=override.strerror)
            return
        try:
            here = self._control.getsockname()[0]
            relay = relay_address(self._bound, self._server, override[0][1][0] if override else None)
            if relay is None:
                self._fail("udp-relay-invalid", relay=self._bound)
            else:
                self._open(relay, _relay_socket(relay, self._server, here))
        except OSError as error:
            code = "descriptors-exhausted" if error.errno in CAPACITY_ERRNOS else "udp-relay-invalid"
            self._fail(code, relay=self._bound, limit=self._engine.budget.limit)

    def _open(self, relay: Endpoint, sock: socket.socket) -> None:
        """Datagrams can pass, and those that wait do."""
        self._sock = sock
        self._bound = relay
        self._reader = DatagramReader(self._engine, sock, self._deliver, self._relay_gone)
        self.owner.opened()
        if self.flow is not None:
            self.flow.receiver.opened()
            self._send_waiting(sock, self.flow)

    def _send_waiting(self, sock: socket.socket, flow: Flow) -> None:
        waiting, self._waiting = self._waiting, deque()
        for datagram in waiting:
            if not self._send_one(sock, flow, datagram):
                flow.receiver.dropped(1)

    def _fail(self, code: str, **details: object) -> None:
        self.end(ServerError(self._way.problem(code, **details)))

    def _control_ready(self, events: int) -> None:
        if events & READABLE and not self._control_resuming:
            self._read_control()

    def _read_control(self) -> None:
        """Octets on the control connection mean nothing; its end is the association's."""
        self._control_resuming = False
        if self._control is None or self._ended:
            return
        try:
            for _ in range(CONTROL_READS):
                if not self._control.recv(4096):
                    self._closed_by_server()
                    return
        except BlockingIOError:
            self._engine.poller.wait_readable(self._control)
        except OSError:
            self._closed_by_server()
        else:
            self._control_resuming = True
            self._engine.poller.soon(self._read_control)

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
        while start < count and self.flow is not None:
            skip = self._accepted_header(batch.payload(start), self.flow)
            stop = start + 1
            if skip:
                header = batch.payload(start)[:skip]
                while stop < count and batch.payload(stop)[:skip] == header:
                    stop += 1
                if not self._useful:
                    self._useful = True
                    self.owner.proved()
                self.flow.receiver.received(batch, range(start, stop), skip)
            else:
                self.flow.receiver.dropped(1)
            start = stop

    def _accepted_header(self, datagram: memoryview, flow: Flow) -> int:
        """The length of the datagram's header, 0 where it is not to be delivered.

        A name comes back as the address that the server found for it, so there only the port must be right.
        """
        if datagram[: len(flow.header)] == flow.header:
            return len(flow.header)
        try:
            remote, length = parse_header(datagram)
        except DatagramError:
            return 0
        return length if flow.by_name and remote.port == flow.remote.port else 0


def _relay_socket(relay: Endpoint, server: str, here: str) -> socket.socket:
    """A socket that hears nobody but `relay`. Raises OSError.

    It speaks from `here`, as the control connection does, because servers know their client by that address.
    """
    family = socket.AF_INET6 if ":" in relay.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, DATAGRAM_BUFFER)
        if relay.host == server:
            sock.bind((here, 0))
        sock.connect((relay.host, relay.port))
    except OSError:
        sock.close()
        raise
    return sock
