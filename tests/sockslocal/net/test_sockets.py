import asyncio
import socket
from contextlib import closing

from sockslocal.net.sockets import adopt_socket, for_asyncio, open_socket


def test_an_opened_socket_does_not_block() -> None:
    """It is of the family and the kind that were asked for."""
    with closing(open_socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        assert not sock.getblocking()
        assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_DGRAM)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM


def test_an_adopted_socket_does_not_block() -> None:
    """It owns the descriptor, which was of a blocking socket."""
    near, far = socket.socketpair()
    with far, closing(adopt_socket(near.family, near.type, near.detach())) as sock:
        assert not sock.getblocking()
        far.send(b"ping")
        assert sock.recv(100) == b"ping"


async def test_what_asyncio_gets() -> None:
    """The same connection, in a socket of the kind that its transports take; the one before is closed."""
    near, far = socket.socketpair()
    with far:
        bare = adopt_socket(near.family, near.type, near.detach())
        reader, writer = await asyncio.open_unix_connection(sock=for_asyncio(bare))
        assert bare.fileno() == -1
        far.send(b"ping")
        assert await reader.read(100) == b"ping"
        writer.close()
        await writer.wait_closed()
