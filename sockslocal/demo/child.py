"""The demo's daemon: a process as a user would start it, watched through its control socket."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from sockslocal.control.client import Client
from sockslocal.demo.setting import Setting
from sockslocal.errors import ControlError
from sockslocal.status import Status

START_SECONDS = 15.0
STOP_SECONDS = 5.0

_PAUSE = 0.02
_IDLE_PAUSE = 0.3
_TOLD_LINES = 8


class NotStarted(Exception):  # noqa: N818  it is what happened
    """The daemon does not do what it should; the text says what it said last."""


class DaemonProcess:
    """`sockslocal run` from entry to exit; it ends by itself where this process ends without one."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._output = setting.folder / "daemon.log"
        self._client = Client(setting.paths, deadline=1.0)

    def __enter__(self) -> Self:
        run = ("run", "--until-stdin-ends", "--config", str(self._setting.paths.config))
        with self._output.open("wb") as output:
            # in the folder, for Python would import what lies in the present one; in a session of its own,
            # so that Ctrl-C is for the demo, which then stops it
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sockslocal", *run],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._setting.folder,
                env=os.environ | self._setting.environment,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it: by request, by signal, by force."""
        with self._process:  # which closes the pipe
            self._stop()

    def _stop(self) -> None:
        try:
            self._client.call("stop", grace=0.0)
        except ControlError:
            self._process.terminate()
        for harder in (self._process.terminate, self._process.kill):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                return
            harder()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_listening(self) -> None:
        """Return once every listener is up. Raises NotStarted."""
        state = self._wait_for(lambda status: not _starting(status))
        problems = [forward.problem for forward in state.forwards.values() if forward.problem]
        if state.dns is not None and state.dns.problem:
            problems.append(state.dns.problem)
        if problems:
            raise NotStarted("\n".join(problem.text for problem in problems))

    def _wait_for(self, condition: Callable[[Status], bool]) -> Status:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise NotStarted(f"it ended with code {self._process.returncode}{self.last_words()}")
            with suppress(ControlError):
                state = self._client.status()
                if condition(state):
                    return state
            time.sleep(_PAUSE)
        raise NotStarted(f"it was not ready within {START_SECONDS:g} s{self.last_words()}")

    def wait(self) -> None:
        """Return when it has ended, whoever ended it."""
        while self._process.poll() is None:
            time.sleep(_IDLE_PAUSE)  # Ctrl-C gets through a sleep on every platform

    def last_words(self) -> str:
        """The end of what it printed, each line on a new one."""
        lines = self._output.read_text(errors="replace").splitlines()[-_TOLD_LINES:]
        return "".join(f"\n  {line}" for line in lines)


def _starting(status: Status) -> bool:
    states = [forward.state for forward in status.forwards.values()]
    return not states or "off" in states or status.dns is None or status.dns.state == "off"
