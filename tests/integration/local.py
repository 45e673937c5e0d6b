"""What local programs do with a forward."""

import random
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from integration.servers.process import LOOPBACK, which

PATIENCE_S = 15.0


def connect(port: int, *, seconds: float = PATIENCE_S) -> socket.socket:
    """A connection to a forward; whatever it does after that has `seconds`."""
    return socket.create_connection((LOOPBACK, port), timeout=seconds)


def exactly(sock: socket.socket, count: int) -> bytes:
    """`count` octets, or fewer where the connection ends before."""
    parts, missing = [], count
    while missing and (data := sock.recv(min(missing, 1 << 20))):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def until_end(sock: socket.socket) -> bytes:
    """All octets until the other side closes its direction."""
    parts = []
    while data := sock.recv(1 << 20):
        parts.append(data)
    return b"".join(parts)


def echoes(port: int, payload: bytes = b"are you there?") -> bool:
    """Whether a new connection to an echo through the forward at `port` brings `payload` back."""
    try:
        with connect(port) as sock, ThreadPoolExecutor(1) as sender:
            sender.submit(sock.sendall, payload)
            return exactly(sock, len(payload)) == payload
    except OSError:
        return False


def is_reset(port: int, *, seconds: float = PATIENCE_S) -> bool:
    """Whether a new connection ends with RST; False for FIN. Raises TimeoutError for neither."""
    try:
        with connect(port, seconds=seconds) as sock:
            sock.sendall(b"are you there?")
            while sock.recv(1000):
                pass
    except ConnectionResetError:
        return True
    return False


class LocalUdp:
    """A program's UDP socket, connected to a forward."""

    def __init__(self, port: int, *, bound: tuple[str, int] = ("", 0)) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.sock.bind(bound)
        self.sock.connect((LOOPBACK, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def echo(self, payload: bytes, *, seconds: float = PATIENCE_S) -> bytes | None:
        """What comes back within `seconds` of sending `payload`."""
        self.sock.settimeout(seconds)
        self.sock.send(payload)
        try:
            return self.sock.recv(70_000)
        except (TimeoutError, ConnectionRefusedError):
            return None

    def echoes(self, payload: bytes = b"are you there?") -> bool:
        """Whether just that comes back; anything older that still arrives is passed over."""
        received = self.echo(payload, seconds=0.3)
        return received == payload


@dataclass(frozen=True, slots=True)
class Answer:
    """What `dig` was told."""

    code: str
    records: list[str]
    over_tcp: bool


def dig(port: int, name: str, kind: str = "A", *options: str) -> Answer:
    """Ask the resolver on loopback."""
    words = [which("dig"), f"@{LOOPBACK}", "-p", str(port), "+tries=1", "+time=8", *options, name, kind]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
    lines = done.stdout.splitlines()
    code = next(
        (line.partition("status: ")[2].partition(",")[0] for line in lines if "status: " in line), "none"
    )
    records = [line.split("\t")[-1] for line in lines if line and not line.startswith(";")]
    return Answer(code, records, over_tcp="(TCP)" in done.stdout)


def random_bytes(count: int) -> bytes:
    """`count` octets that repeat nowhere."""
    return random.randbytes(count)
