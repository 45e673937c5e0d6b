"""A SOCKS5 client without a codec: the octets of RFC 1928 on plain sockets, for tests of the fake server."""

import socket
from typing import Self

from fakes.raw_server import exactly
from fakes.socks5_server import FakeServer
from fakes.socks5_wire import UDP_ASSOCIATE, Address, address_octets, parse_address

ANA = (b"ana", b"secret")
LOGIN = b"\1\3ana\6secret"

PATIENCE_S = 5.0
SILENCE_S = 0.05
"""Who has said nothing for so long is taken to stay silent; a fake that is only slow passes for it."""


def connect(server: FakeServer) -> socket.socket:
    """A connection to the fake, no byte sent."""
    return socket.create_connection(server.address, timeout=PATIENCE_S)


def logged_in(server: FakeServer) -> socket.socket:
    """A connection that may send its request, as ANA where the server wants a login."""
    sock = connect(server)
    if server.credentials:
        sock.sendall(b"\5\1\2")
        assert exactly(sock, 2) == b"\5\2"
        sock.sendall(LOGIN)
        assert exactly(sock, 2) == b"\1\0"
    else:
        sock.sendall(b"\5\1\0")
        assert exactly(sock, 2) == b"\5\0"
    return sock


def request(sock: socket.socket, host: str, port: int, command: int = 1) -> bytes:
    """The reply to a request, of the length it has with an IPv4 address."""
    sock.sendall(bytes([5, command, 0]) + address_octets(host, port))
    return exactly(sock, 10)


def is_silent(sock: socket.socket) -> bool:
    """Whether nothing comes, nor an end."""
    sock.settimeout(SILENCE_S)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(PATIENCE_S)
    return False


class Association:
    """A control connection, and a UDP socket for its relay, that hears others only if it is not `connected`.

    `asked` is what UDP ASSOCIATE names; port -1 stands for the socket's own.
    """

    def __init__(
        self, server: FakeServer, asked: Address = ("0.0.0.0", 0), *, connected: bool = True
    ) -> None:
        self.control = logged_in(server)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.settimeout(PATIENCE_S)
        self.udp.bind(("127.0.0.1", 0))
        if asked[1] == -1:
            asked = (asked[0], self.udp.getsockname()[1])
        reply = request(self.control, *asked, command=UDP_ASSOCIATE)
        assert reply[:4] == b"\5\0\0\1"
        self.relay, _ = parse_address(reply[3:])
        if connected:
            self.udp.connect(self.relay)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self.udp.close()

    def send(self, target: Address, payload: bytes) -> None:
        """A datagram for `target`."""
        self.udp.sendto(b"\0\0\0" + address_octets(*target) + payload, self.relay)

    def is_refused(self) -> bool:
        """Whether the relay's port is found closed."""
        try:
            self.udp.send(b"is anybody there?")
        except ConnectionRefusedError:
            return True
        return False
