"""What all real SOCKS5 servers of the tests have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from fakes.waiting import wait_until
from integration.servers.process import LOOPBACK, READY_S, Process, accepts, free_port, program

NOBODY = 65534
"""The user and the group without rights, on Debian."""

USERNAME = "ana"
PASSWORD = "c@n:a/r%y-ñéß"
"""A canary: every character that has a meaning in an URL or a config somewhere, and letters beyond ASCII."""


class SocksServer(ABC):
    """A real server on a port of its own, running from entry to exit; it may be killed in between."""

    programs: ClassVar[tuple[str, ...]]
    """What must be installed; the first is the server."""
    username: ClassVar[str | None] = USERNAME
    """None where the server knows no login."""
    relays_udp: ClassVar[bool]

    def __init__(self, folder: Path, *, host: str = LOOPBACK, inside: Sequence[str] = ()) -> None:
        """`inside` is a command that runs another one, in a network namespace say."""
        self.folder = folder
        self.host = host
        self.port = free_port()
        self._inside = inside
        self.process: Process | None = None

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @classmethod
    def missing(cls) -> list[str]:
        """The programs it needs that are not installed."""
        return [name for name in cls.programs if program(name) is None]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that keeps it in the foreground."""

    def environment(self) -> Mapping[str, str]:
        """What it needs in its environment beside ours."""
        return {}

    def prepare(self) -> None:  # noqa: B027 (not every server has one)
        """Write its configuration."""

    def write(self, name: str, text: str) -> str:
        """Write a file of its folder, for itself only; returns the path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it accepts."""
        self.process = Process([*self._inside, *self.command()], self.folder, environment=self.environment())
        self.process.wait_for_port(self.port, self.host)

    def kill(self) -> None:
        """`kill -9`, and wait until its port refuses."""
        assert self.process is not None
        self.process.kill()
        wait_until(
            lambda: not accepts(self.port, self.host), seconds=READY_S, what="the port of the dead refuses"
        )

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.stop()
            self.process = None
