"""A server for one exchange that a test writes down octet by octet."""

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator

from fakes.socks5_wire import Address

Play = Callable[[socket.socket], object]


@contextlib.contextmanager
def raw_server(play: Play) -> Iterator[Address]:
    """Calls `play` with each connection, in a thread; what it raises as OSError ends that connection only."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, play), name="raw server")
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, play: Play) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.settimeout(20)
            with connection, contextlib.suppress(OSError):
                play(connection)


def exactly(sock: socket.socket, count: int) -> bytes:
    """`count` octets, or fewer where the connection ends before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def until_end(sock: socket.socket) -> bytes:
    """All octets until the other side closes its direction."""
    data = b""
    while more := sock.recv(1 << 16):
        data += more
    return data


def send_with_fin(sock: socket.socket, data: bytes) -> None:
    """Send `data` and the FIN, on Linux in one segment."""
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def grant_and_end(sock: socket.socket) -> None:
    """The FIN lies behind the reply to the only request, which is granted; nobody logs in."""
    exactly(sock, 3)
    sock.sendall(b"\5\0")
    exactly(sock, 10)
    send_with_fin(sock, b"\5\0\0\1\x7f\0\0\1\0\7")
    until_end(sock)
