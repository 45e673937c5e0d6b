"""How an association comes about: the request, the server's reply, and the way that it opens."""

import socket
from collections.abc import Callable
from typing import Protocol

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.connecting import SocketAddress
from sockslocal.net.datagrams import Batch
from sockslocal.net.descriptors import CAPACITY_ERRNOS
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.rungs import Rung
from sockslocal.net.udp_relay_address import relay_address
from sockslocal.net.udp_relay_socket import bound_socket
from sockslocal.net.udp_stream import UdpStream
from sockslocal.net.udp_terms import Terms
from sockslocal.net.udp_transport import RelayTransport, Transport
from sockslocal.socks5.errors import RemoteError
from sockslocal.socks5.messages import Command, Request
from sockslocal.socks5.udp_over_tcp import FRAMINGS

MakeDial = Callable[[Request, Callable[[Dial], None], Callable[[DialError], None]], Dial]

_MAGIC = (Rung.UOT_V2, Rung.UOT_V1)
"""Asked for by CONNECT to a name that means it to servers that know it."""

_ZEROS = "0.0.0.0"  # noqa: S104  which address the datagrams will come from is not known, and a guess harms


class Side(Protocol):
    """The association, which hears what happens to its way, even before that is open."""

    def opened(self, transport: Transport) -> None:
        """Datagrams can pass by `transport`, which is the association's from now on."""

    def failed(self, error: ServerError) -> None:
        """There is no way."""

    def deliver(self, batch: Batch, count: int) -> None:
        """Datagrams came."""

    def control_ended(self) -> None:
        """The server has closed the control connection."""

    def refused(self, relay: Endpoint) -> None:
        """Nobody listens at `relay` (ICMP)."""

    def stream_ended(self, error: RemoteError | None) -> None:
        """As `UdpStream` tells it."""


class Opening:
    """One attempt, by one rung. Tells its side that it `opened` or `failed`, once, and not after `cancel`."""

    def __init__(self, terms: Terms, rung: Rung, side: Side) -> None:
        self._terms = terms
        self._rung = rung
        self._side = side
        self._sock: socket.socket | None = None
        """The one to the relay, where its port was to be known before."""
        self._dial: Dial | None = None
        self._relay: RelayTransport | None = None
        self._bound = Endpoint("", 0)
        self._server = ""

    def start(self, make_dial: MakeDial) -> None:
        """Ask the server."""
        try:
            request = self._request()
        except OSError:
            self._fail_for("descriptors-exhausted", limit=self._terms.engine.budget.limit)
            return
        self._dial = make_dial(request, self._dialled, self._dial_failed)
        self._dial.start()

    def cancel(self) -> None:
        """End it in the midst."""
        if self._terms.override is not None:
            self._terms.override.drop(self._located)
        if self._dial is not None:
            self._dial.cancel()
        if self._relay is not None:
            self._relay.close()
        if self._sock is not None:
            self._sock.close()
        self._dial = self._relay = self._sock = None

    def _request(self) -> Request:
        """What to ask for. Raises OSError where that takes a socket, and there is none."""
        if self._rung.framing:
            return FRAMINGS[self._rung.framing].request
        port = 0
        if self._rung is Rung.PORT:
            self._sock = bound_socket()
            port = self._sock.getsockname()[1]
        return Request(Command.UDP_ASSOCIATE, Endpoint(_ZEROS, port))

    def _dial_failed(self, error: DialError) -> None:
        self._dial = None
        if self._rung in _MAGIC and error.server_answers:  # no user has heard of the name
            self._fail_for("udp-unsupported", phrase=f"it does not speak {self._rung.value}")
        else:
            self._fail(error)

    def _dialled(self, dial: Dial) -> None:
        """The server has agreed; what it named as its relay may need looking up."""
        self._dial = None
        if self._rung.framing:
            self._open_stream(dial, self._rung.framing)
            return
        self._bound, self._server = dial.bound, dial.address[1][0]
        self._relay = relay = RelayTransport(self._terms.engine, dial, self._side.control_ended)
        relay.start()
        if self._relay is None:  # it was closed already, and that was the end
            return
        if self._terms.override is not None:
            self._terms.override.find(self._located)
        else:
            self._located(None)

    def _open_stream(self, dial: Dial, framing: str) -> None:
        side = self._side
        stream = UdpStream(self._terms.engine, dial.sock, FRAMINGS[framing], side.deliver, side.stream_ended)
        side.opened(stream)
        if not stream.closed:
            stream.start(dial.leftover)

    def _located(self, override: list[SocketAddress] | OSError | None) -> None:
        """Open the way to the relay, at the address that overrides the server's, if any."""
        if self._relay is None:  # cancelled by what another one that waited was told
            return
        if isinstance(override, OSError):
            self._fail_for("udp-address-unknown", reason=override.strerror)
            return
        given = relay_address(self._bound, self._server, override[0][1][0] if override else None)
        if given is None:
            self._fail_for("udp-relay-invalid", relay=self._bound)
            return
        place = given
        if self._rung is Rung.SERVER:
            place = given._replace(host=self._server)
            if place == given:  # where nothing has come back
                self._fail_for("udp-silent")
                return
        if self._terms.engine.ears.hears(place, self._relay.here):  # each datagram would be a flow of its own
            self._fail_for("udp-relay-invalid", relay=place)
            return
        self._open_relay(self._relay, place)

    def _open_relay(self, relay: RelayTransport, place: Endpoint) -> None:
        sock, self._sock = self._sock, None
        try:
            relay.open(place, sock, self._side.deliver, self._side.refused, others=self._terms.foreign)
        except OSError as error:
            code = "descriptors-exhausted" if error.errno in CAPACITY_ERRNOS else "udp-relay-invalid"
            self._fail_for(code, relay=place, limit=self._terms.engine.budget.limit)
        else:
            self._relay = None
            self._side.opened(relay)

    def _fail_for(self, code: str, **details: object) -> None:
        self._fail(ServerError(self._terms.way.problem(code, **details)))

    def _fail(self, error: ServerError) -> None:
        self.cancel()
        self._side.failed(error)
