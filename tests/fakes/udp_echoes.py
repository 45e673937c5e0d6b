"""Many UDP echoes on loopback, each with an address of its own, in one thread."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

from fakes.socks5_wire import Address

HOSTS_A_NET = 200


class UdpEchoes:
    """Sends each datagram back to where it came from, and remembers those that were meant for another.

    All have the same port, so that servers' names for them differ in nothing but the host.
    """

    def __init__(self, count: int) -> None:
        self.strays: list[tuple[Address, bytes]] = []
        """Where a datagram came to that names another remote, and its payload."""
        self.received = 0
        self.mute = False
        """Whether nothing is sent back."""
        self._selector = selectors.DefaultSelector()
        self._awake, self._wake = socket.socketpair()
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._port = 0
        self._sockets = [self._bind(number) for number in range(count)]
        self.addresses: list[Address] = [sock.getsockname() for sock in self._sockets]

    def run(self) -> None:
        """Echo until `stop`."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._awake:
                    return
                assert isinstance(key.fileobj, socket.socket)
                self._echo(key.fileobj)

    def stop(self) -> None:
        self._wake.send(b"!")

    def close(self) -> None:
        self._selector.close()
        for sock in (*self._sockets, self._awake, self._wake):
            sock.close()

    def _bind(self, number: int) -> socket.socket:
        """One on an address of 127.0.0.0/8 of its own, for as many as there are."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((f"127.1.{number // HOSTS_A_NET % 256}.{1 + number % HOSTS_A_NET}", self._port))
        self._port = sock.getsockname()[1]
        self._selector.register(sock, selectors.EVENT_READ)
        return sock

    def _echo(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                payload, source = sock.recvfrom(65_535)
                self.received += 1
                here = sock.getsockname()
                if not is_meant_for(here, payload):
                    self.strays.append((here, payload))
                if not self.mute:
                    sock.sendto(payload, source)


def naming(flow: int, remote: Address, turn: int, attempt: int) -> bytes:
    """A payload that says whose it is."""
    return b"flow %d to %s:%d, turn %d, attempt %d|" % (flow, remote[0].encode(), remote[1], turn, attempt)


def is_meant_for(remote: Address, payload: bytes) -> bool:
    """Whether a payload that says whose it is names `remote`; any other payload is meant for everybody."""
    head, _, _ = payload.partition(b",")
    return not head.startswith(b"flow ") or head.endswith(b" to %s:%d" % (remote[0].encode(), remote[1]))


@contextlib.contextmanager
def udp_echoes(count: int) -> Iterator[UdpEchoes]:
    """`count` echoes, running."""
    echoes = UdpEchoes(count)
    thread = threading.Thread(target=echoes.run, name="udp echoes")
    thread.start()
    try:
        yield echoes
    finally:
        echoes.stop()
        thread.join()
        echoes.close()
