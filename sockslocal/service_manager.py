"""What a service manager, such as systemd, is told and hands over: sd_notify(3), sd_listen_fds(3).

Both come by the environment, from which they are taken: children are neither asked nor given anything.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple, Self

from sockslocal.log import escape

FIRST_DESCRIPTOR = 3
"""Of those that are handed over (SD_LISTEN_FDS_START)."""

MAX_DESCRIPTORS = 10_000

SEND_S = 1.0
"""A manager that takes nothing for so long is not told; nobody is to wait for it."""

_log = logging.getLogger(__name__)


class ServiceManager:
    """The one that has started this process, if any; without an `address` nobody is told anything.

    `watchdog_s`: unless `alive` is called within so many seconds, it takes this process for dead.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s if address else None
        self._status = ""

    @classmethod
    def of_environment(cls) -> Self:
        """As NOTIFY_SOCKET and WATCHDOG_USEC say."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        period, whose = _number("WATCHDOG_USEC"), _number("WATCHDOG_PID")
        ours = period > 0 and whose in (-1, os.getpid())
        return cls(address if address[:1] in ("/", "@") else "", period / 1e6 if ours else None)

    @property
    def listens(self) -> bool:
        """Whether anybody is told."""
        return bool(self._address)

    def ready(self) -> None:
        """All that is to listen does; or the configuration has been read again."""
        self._tell("READY=1")

    def status(self, text: str) -> None:
        """One line for people; told only where it differs from the one before."""
        if text != self._status:
            self._status = text
            self._tell(f"STATUS={escape(text)}")

    def reloading(self) -> None:
        """The configuration is about to be read again."""
        if self.listens:
            self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, within_s: float) -> None:
        """The end has begun, and may take so many seconds."""
        self._tell(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within_s * 1e6)}")

    def alive(self) -> None:
        """All goes on."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if sys.platform == "win32" or not self._address:
            return
        name = self._address
        address = "\0" + name[1:] if name.startswith("@") else name  # in the abstract namespace
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SEND_S)
            sock.sendto(message.encode(errors="replace"), address)


class Passed(NamedTuple):
    """A socket that was handed over, and what the manager calls it."""

    name: str
    sock: socket.socket


def take_sockets() -> list[Passed]:
    """The sockets that are handed over to this process; what else there is, is closed."""
    ours = _number("LISTEN_PID") == os.getpid()
    count = min(_number("LISTEN_FDS"), MAX_DESCRIPTORS)
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if sys.platform == "win32" or not ours:
        return []
    names += [""] * (count - len(names))
    return list(_adopted(names[: max(count, 0)]))


def _adopted(names: list[str]) -> Iterator[Passed]:
    for descriptor, name in enumerate(names, FIRST_DESCRIPTOR):
        try:
            os.set_inheritable(descriptor, False)
            yield Passed(name, socket.socket(fileno=descriptor))
        except OSError as error:
            _log.warning("! descriptor %d that was handed over is of no use: %s", descriptor, error.strerror)
            with suppress(OSError):
                os.close(descriptor)


def _number(variable: str) -> int:
    """What a variable of the environment says, and takes it from there; -1 where it says nothing."""
    text = os.environ.pop(variable, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
