"""What lies behind the fake server: echoes on loopback, each in a thread of its own."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from fakes.socks5_wire import Address

CHUNK = 1 << 18


@contextlib.contextmanager
def udp_echo() -> Iterator[Address]:
    """Sends every datagram back, empty ones too."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_echo_datagrams, args=(sock,), name="udp echo")
        thread.start()
        try:
            yield sock.getsockname()
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                while thread.is_alive():  # where the buffer is full, the datagram is lost
                    stopper.sendto(_STOP, sock.getsockname())
                    thread.join(0.1)


_STOP = b"stop this echo"


def _echo_datagrams(sock: socket.socket) -> None:
    while True:
        data, source = sock.recvfrom(65_535)
        if data == _STOP:
            return
        with contextlib.suppress(OSError):
            sock.sendto(data, source)


@contextlib.contextmanager
def tcp_echo() -> Iterator[Address]:
    """Sends back what it gets, each direction closed on its own; at the end nothing of it is left open."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, contextlib.ExitStack() as stack:
        thread = threading.Thread(target=_accept, args=(listener, stack), name="tcp echo")
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, stack: contextlib.ExitStack) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            thread = threading.Thread(target=_echo, args=(connection,), name="tcp echo")
            thread.start()
            stack.callback(_end, connection, thread)


def _end(connection: socket.socket, thread: threading.Thread) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    thread.join()


def _echo(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        while data := connection.recv(CHUNK):
            connection.sendall(data)
