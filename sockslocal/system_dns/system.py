"""What the rest here needs of the operating system, so that tests can put another one in its place."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sockslocal.system_dns import questions
from sockslocal.system_dns.listeners import owners

COMMAND_S = 3.0
"""For any command; restarting systemd-resolved takes a tenth of it."""

ROOT = Path("/").absolute()
"""The machine's own; on Windows with the drive."""

ANSWER_S = 1.0
"""For any answer of a DNS server on this machine."""

_UNTRANSLATED = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class Done(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    output: str = ""


class CommandError(OSError):
    """A command that did not do what it was to do."""


Run = Callable[[Sequence[str], str], Done]
"""Runs a command to its end, with text for its stdin."""


def run(command: Sequence[str], text: str = "") -> Done:
    """As `Run`; a missing or hanging command counts as one that failed."""
    environment = _UNTRANSLATED if os.name == "posix" else None
    try:
        done = subprocess.run(
            command,
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_S,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        return Done(127, f"there is no {command[0]}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done(126, str(error))
    return Done(done.returncode, done.stdout.decode(errors="replace"))


def ask(server: str, port: int, message: bytes) -> bytes:
    """The first datagram that comes back from `server`. Raises OSError."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect((server, port))
        sock.send(message)
        return sock.recv(4096)


def listeners(port: int) -> set[int]:
    """The users that listen on 127.0.0.1:`port` by TCP; empty where that cannot be told."""
    try:
        return owners(Path("/proc/net/tcp").read_text(), port)
    except OSError:
        return set()


def boot() -> str:
    """What names this start of the machine (random(4)); empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class System:
    """The machine, or what a test has in its place."""

    root: Path = ROOT
    run: Run = run
    ask: Callable[[str, int, bytes], bytes] = ask
    listeners: Callable[[int], set[int]] = listeners
    boot: Callable[[], str] = boot
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def command(self, *command: str, text: str = "") -> str:
        """What `command` prints; raises CommandError where it fails."""
        done = self.run(command, text)
        if done.code:
            said = done.output.strip().splitlines()
            reason = said[-1] if said else f"exit status {done.code}"
            raise CommandError(done.code, f"{' '.join(command)}: {reason}")
        return done.output

    def succeeds(self, *command: str) -> bool:
        """Whether `command` ends with 0."""
        return self.run(command, "").code == 0

    def read(self, path: str) -> bytes:
        """The file at `path` below the root, where its links stay too; empty where there is none."""
        target = self.root / path
        for _ in range(8):
            if not target.is_symlink():
                break
            leads = target.readlink()
            below = leads.relative_to(leads.anchor)
            target = self.root / below if leads.is_absolute() else target.parent / leads
        try:
            return target.read_bytes()
        except OSError:
            return b""

    def looks_up(self, server: str, port: int, name: str) -> bool:
        """Whether `server` knows if there is a `name`."""
        number = int.from_bytes(os.urandom(2), "big")
        try:
            answer = self.ask(server, port, questions.question(number, name))
        except OSError:
            return False
        return questions.is_found(questions.answers(answer, number))
