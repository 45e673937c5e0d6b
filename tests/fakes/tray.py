"""The tray as a process, on a screen of a test's own."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import psutil

from fakes.session_bus import running
from fakes.waiting import wait_until
from sockslocal.paths import Paths


class Tray:
    """A running tray."""

    def __init__(self, process: "Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it has noted."""
        return self._log.read_text() if self._log.exists() else ""

    def wait_for_log(self, text: str) -> None:
        """Return as soon as it has noted that."""
        wait_until(lambda: text in self.log, seconds=30, what=f"{text!r} in the tray's log: {self.log}")

    @property
    def rss(self) -> int:
        """Octets of memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    @property
    def seconds(self) -> float:
        """Of a processor, spent so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def tray(paths: Paths, environment: Mapping[str, str], *words: str) -> Iterator[Tray]:
    """`python -m sockslocal_tray WORDS`, until the end of the block; `environment` leads to its desktop."""
    places = {"SOCKSLOCAL_RUNTIME_DIR": str(paths.runtime), "SOCKSLOCAL_STATE_DIR": str(paths.state)}
    command = [sys.executable, "-m", "sockslocal_tray", "--config", str(paths.config), *words]
    with running(command, env={**os.environ, **environment, **places}) as process:
        yield Tray(process, paths.state / "tray.log")
