"""Programs that tests start: each in a process group of its own, and gone with its children at the end."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from fakes.waiting import wait_until

LOOPBACK = "127.0.0.1"
READY_S = 15.0

_given: set[int] = set()
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def program(name: str) -> str | None:
    """Where `name` is installed, in the folders of the system's own programs too; None where it is not."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def which(name: str) -> str:
    """The path of a program that is known to be installed."""
    path = program(name)
    assert path is not None, f"{name} is not installed"
    return path


def free_port() -> int:
    """A port free for TCP and UDP on loopback, below those that the kernel gives to outgoing connections.

    None is given twice, nor to two of the processes that pytest has started side by side.
    """
    while True:
        port = random.randrange(10_000 + _worker, 32_000, _workers)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as sock:
                sock.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def accepts(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections to `port`."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((host, port)) == 0


class Process:
    """A running program, its output in a file."""

    def __init__(
        self, command: Sequence[str], folder: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self.command = command
        self.output_path = folder / f"{Path(command[0]).name}.output"
        with self.output_path.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll()

    def output(self) -> str:
        """What it has written so far, its last 4 kB."""
        return self.output_path.read_text(errors="replace")[-4_000:]

    def wait_for_port(self, port: int, host: str = LOOPBACK) -> None:
        """Return when it accepts connections on `port`; fail when it ends before, or never does."""

        def is_ready() -> bool:
            if self.exit_code is not None:
                raise AssertionError(f"{self.command[0]} ended with {self.exit_code}: {self.output()}")
            return accepts(port, host)

        wait_until(is_ready, seconds=READY_S, what=f"{self.command[0]} listens on {port}")

    def wait(self, seconds: float) -> int:
        """Its exit code; raises subprocess.TimeoutExpired after `seconds`."""
        return self._popen.wait(seconds)

    def signal(self, number: int) -> None:
        """Send a signal to the program itself, not to its children."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL for the program and all its children, at once."""
        self._signal_group(signal.SIGKILL)
        self._popen.wait()

    def stop(self, seconds: float = 3.0) -> None:
        """SIGTERM, and SIGKILL for what is left after `seconds`."""
        self._signal_group(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        self.kill()

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
