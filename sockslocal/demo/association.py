"""One UDP association (RFC 1928 §7): a relay socket between a client and whoever it has written to."""

from collections import OrderedDict

from sockslocal.address import Endpoint
from sockslocal.demo.datagrams import DatagramSocket
from sockslocal.demo.network import Network, Unreachable
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.errors import DatagramError

MAX_REMOTES = 256
"""Remotes of one association that may answer; the one not written to for longest goes first."""


class Association:
    """Relays from its making until `close`; its owner closes it with the control connection.

    The client is the first that sends from the control connection's address, from the port that the request
    named where it named one. Remotes that the client has not written to are not heard.
    """

    def __init__(self, network: Network, *, local: str, client: Endpoint) -> None:
        self._network = network
        self._client_host = client.host
        self._client: Endpoint | None = client if client.port else None
        self._remotes: OrderedDict[Endpoint, bytes] = OrderedDict()
        self._socket = DatagramSocket(local, self._received)

    @property
    def relay(self) -> Endpoint:
        """Where the client sends its datagrams."""
        return self._socket.local

    def close(self) -> None:
        self._socket.close()

    def _received(self, datagram: bytes, sender: Endpoint) -> None:
        header = self._remotes.get(sender)
        if sender == self._client or (self._client is None and sender.host == self._client_host):
            self._from_client(datagram, sender)
        elif header is not None and self._client is not None:
            self._socket.send(header + datagram, self._client)

    def _from_client(self, datagram: bytes, sender: Endpoint) -> None:
        try:
            target, payload_at = parse_header(datagram)
            place = self._network.locate("udp", target)
        except (DatagramError, Unreachable):
            return
        self._client = sender
        self._remotes[place.actual] = encode_header(place.public)
        self._remotes.move_to_end(place.actual)
        if len(self._remotes) > MAX_REMOTES:
            self._remotes.popitem(last=False)
        self._socket.send(datagram[payload_at:], place.actual)
