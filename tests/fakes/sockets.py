"""Pairs of connected sockets, and what their owners may do to them."""

import contextlib
import socket
import struct
from collections.abc import Iterator


def tcp_pair(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    """Two non-blocking ends of a TCP connection over loopback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
    for sock in (client, server):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def udp_pair() -> tuple[socket.socket, socket.socket]:
    """Two non-blocking UDP sockets on loopback, connected with each other."""
    one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    for sock in (one, other):
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return one, other


def unix_pair() -> tuple[socket.socket, socket.socket]:
    """Two non-blocking ends of a Unix stream: what one has sent the other can read before `send` returns."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


@contextlib.contextmanager
def blackhole() -> Iterator[tuple[str, int]]:
    """A port whose backlog is full: the kernel drops what comes, as a host that is gone does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address: tuple[str, int] = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address


@contextlib.contextmanager
def closing(*sockets: socket.socket) -> Iterator[None]:
    """Close all of `sockets` at the end."""
    try:
        yield
    finally:
        for sock in sockets:
            sock.close()


def reset(sock: socket.socket) -> None:
    """Close `sock` with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def fill(sock: socket.socket) -> int:
    """Send to the non-blocking `sock` until it takes no more; gives how many octets it took."""
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            taken += sock.send(bytes(65_536))
    return taken


def read_available(sock: socket.socket) -> bytes:
    """What can be read from the non-blocking `sock` now."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := sock.recv(1 << 20):
            found += data
    return found
