"""What stands in for a service manager: a socket that it listens on, and sockets that it hands over."""

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fakes.waiting import wait_until

_HAND_OVER = """
import os, socket, sys
names, count = sys.argv[1], int(sys.argv[2])
places, command = sys.argv[3 : 3 + count], sys.argv[3 + count :]
sockets = []
for place in places:
    kind, host, port = place.split(",")
    stream = kind == "tcp"
    sock = socket.socket(type=socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    sock.bind((host, int(port)))
    if stream:
        sock.listen()
    sockets.append(sock)
spare = [os.dup(sock.fileno()) for sock in sockets]
os.closerange(3, min(spare, default=3))
for number, descriptor in enumerate(spare, 3):
    os.dup2(descriptor, number)
os.closerange(3 + count, 64)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}
os.execv(command[0], command)
"""


def handing_over(*places: str, names: str = "") -> Sequence[str]:
    """The beginning of a command whose rest is given sockets at `places`, such as `udp,127.0.0.1,53`."""
    return [sys.executable, "-I", "-c", _HAND_OVER, names, str(len(places)), *places]


class Told:
    """What the manager was told."""

    def __init__(self, address: str, sock: socket.socket) -> None:
        self.address = address
        self._sock = sock
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        """All until now, in order."""
        try:
            while True:
                self._lines += self._sock.recv(4_096).decode().splitlines()
        except BlockingIOError:
            return self._lines

    def wait_for(self, line: str) -> None:
        """Return once it was told `line`."""
        wait_until(lambda: line in self.lines, seconds=15, what=f"{line} is told")


@contextmanager
def service_manager(folder: Path, *, abstract: bool = False) -> Iterator[Told]:
    """One that is told something by its `address`, the value of NOTIFY_SOCKET."""
    path = str(folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind("\0" + path if abstract else path)
        yield Told("@" + path if abstract else path, sock)
