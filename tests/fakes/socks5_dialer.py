"""A blocking SOCKS5 client on the package's own codec, for tests of servers."""

import socket
from dataclasses import dataclass

from sockslocal.address import Endpoint
from sockslocal.socks5.client import ClientHandshake, Credentials
from sockslocal.socks5.datagram import encode_header, parse_header
from sockslocal.socks5.messages import Command, Request

_SECONDS = 10.0


def dial(
    server: Endpoint, command: Command, target: Endpoint, credentials: Credentials | None = None
) -> tuple[socket.socket, Endpoint]:
    """A connection with `command` granted for `target`, and the address bound for it. Raises RemoteError."""
    connection = socket.create_connection(server, timeout=_SECONDS)
    handshake = ClientHandshake(credentials, Request(command, target))
    try:
        connection.sendall(handshake.start())
        while handshake.bound is None:
            connection.sendall(handshake.receive(_read(connection, handshake)))
    except BaseException:
        connection.close()
        raise
    assert not handshake.trailing, "a target that speaks first needs another helper"
    return connection, handshake.bound


def _read(connection: socket.socket, handshake: ClientHandshake) -> bytes:
    data = connection.recv(4096)
    if not data:
        raise handshake.eof()
    return data


@dataclass
class UdpSession:
    """A UDP association, and a socket to use it with; ends with `close`."""

    control: socket.socket
    relay: Endpoint
    socket: socket.socket

    @classmethod
    def open(cls, server: Endpoint, credentials: Credentials | None = None) -> "UdpSession":
        """Ask `server` for an association, without saying where the datagrams will come from."""
        control, relay = dial(server, Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0), credentials)
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.settimeout(_SECONDS)
        return cls(control, relay, datagrams)

    def send(self, remote: Endpoint, payload: bytes) -> None:
        """Send `payload` to `remote` through the relay."""
        self.socket.sendto(encode_header(remote) + payload, self.relay)

    def receive(self) -> tuple[Endpoint, bytes]:
        """The next datagram from the relay: where its header says it is from, and its payload."""
        datagram, _ = self.socket.recvfrom(65_535)
        remote, start = parse_header(datagram)
        return remote, datagram[start:]

    def close(self) -> None:
        """End the association."""
        self.control.close()
        self.socket.close()
