"""A supervisor with its files, the tables of a configuration for it, and programs that talk through it."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fakes.engine import until
from fakes.socks5_server import FakeServer
from integration.daemon import section
from sockslocal.address import Endpoint
from sockslocal.config.load import load
from sockslocal.errors import CredentialsError
from sockslocal.net.engine import Engine
from sockslocal.secret import Secret
from sockslocal.status import Status
from sockslocal.supervisor import Supervisor, Switches

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Made:
    """A supervisor with its files."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.config = folder / "config.toml"
        self.answers = folder / "dns-answers"
        self.password: str | CredentialsError = "hunter2"
        self.readings = 0
        self.supervisor = self.make()

    def make(self) -> Supervisor:
        """A supervisor, as a new process would have it."""
        switches = Switches(self.folder / "switches.json")
        return Supervisor(self.engine, switches, self._read, answers=self.answers)

    def write(self, *sections: str) -> None:
        """Write the configuration."""
        self.config.write_text("\n".join(sections))

    def apply(self, *sections: str) -> list[str]:
        """Apply a configuration; gives what changed."""
        self.write(*sections)
        return self.supervisor.apply(load(self.config))

    def reload(self, *sections: str) -> list[str]:
        """Change the configuration and have it read again."""
        self.write(*sections)
        return self.supervisor.reload()

    @property
    def status(self) -> Status:
        return self.supervisor.snapshot()

    async def up(self, name: str = "office") -> None:
        """Wait until the server is up."""
        await until(lambda: self.status.servers[name].state == "up", f"{name} is up")

    async def _read(self, _config: object) -> Secret:
        self.readings += 1
        if isinstance(self.password, CredentialsError):
            raise self.password
        return Secret(self.password)


Test = Callable[[Made], Awaitable[None]]

Run = Callable[[Test], None]


def office(server: FakeServer, **more: object) -> str:
    """The table of the server."""
    more = {"udp_probe": "off", **more}
    return section("server.office", address=f"127.0.0.1:{server.port}", username="ana", **more)


def tcp(name: str, port: int, target: Endpoint, **more: object) -> str:
    """A TCP forward."""
    return section(f"tcp.{name}", listen=f"127.0.0.1:{port}", to=str(target), **more)


def udp(name: str, port: int, target: Endpoint, **more: object) -> str:
    """A UDP forward."""
    return section(f"udp.{name}", listen=f"127.0.0.1:{port}", to=str(target), **more)


def dns(port: int, **more: object) -> str:
    """A resolver."""
    return section("dns", listen=f"127.0.0.1:{port}", **{"upstreams": ["udp://127.0.0.1:1"], **more})


async def connected(port: int) -> Connection:
    """A connection that is relayed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await echoes((reader, writer))
    return reader, writer


async def echoes(connection: Connection) -> None:
    """It lives."""
    reader, writer = connection
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"


async def is_cut(connection: Connection) -> None:
    """It was ended from here."""
    reader, writer = connection
    with pytest.raises(ConnectionResetError):
        await reader.read(-1)
    writer.close()


async def datagram_echoes(port: int) -> bool:
    """Whether a datagram through the forward comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.setblocking(False)
        program.connect(("127.0.0.1", port))
        received: list[bytes] = []

        def collect() -> list[bytes]:
            with contextlib.suppress(OSError):
                program.send(b"ping")
                received.append(program.recv(100))
            return received

        await until(collect, "the echo")
    return received[0] == b"ping"
