"""A person at a terminal: reads what a program asks there, types answers, presses keys."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

import psutil
import pytest

from fakes.waiting import wait_until

_PATIENCE_S = 60.0
INTERRUPT = b"\x03"


class Person:
    """At the terminal of one program."""

    def __init__(self, process: "subprocess.Popen[bytes]", terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self.seen = ""
        """All that was ever on the screen."""
        self._read = 0

    @property
    def pid(self) -> int:
        """Of the program."""
        return self._process.pid

    def is_killed(self) -> None:
        """The program, at once."""
        self._process.kill()

    def reads(self, text: str) -> None:
        """Wait until `text` comes, after what was read before."""
        deadline = time.monotonic() + _PATIENCE_S
        while text not in self.seen[self._read :]:
            assert time.monotonic() < deadline, f"{text!r} does not come; there is: {self.seen}"
            assert self._look(deadline), f"it ended before {text!r}; there is: {self.seen}"
        self._read = self.seen.index(text, self._read) + len(text)

    def answers(self, question: str, answer: str = "") -> None:
        """Wait for `question`, and type `answer` and Enter."""
        self.reads(question)
        os.write(self._terminal, f"{answer}\r".encode())

    def presses(self, key: bytes) -> None:
        """One key, once the program waits: Python forgets a Ctrl-C that comes just before it does."""
        program = psutil.Process(self.pid)

        def waits() -> bool:
            return program.status() == psutil.STATUS_SLEEPING

        wait_until(waits, seconds=_PATIENCE_S, what="a program that waits for a key")
        os.write(self._terminal, key)

    def leaves(self) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._look(deadline):
            assert time.monotonic() < deadline, f"it does not end; there is: {self.seen}"
        return self._process.wait(_PATIENCE_S)

    def _look(self, deadline: float) -> bool:
        """Whether there may come more."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux's way to say that nobody has the other end any more
            return False
        self.seen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


@contextlib.contextmanager
def at_terminal(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Person]:
    """A person before a terminal of their own, which `command` runs on; it is killed at the end."""
    terminal, other = os.openpty()
    plain = {"TERM": "xterm", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, terminal)
        try:
            process = stack.enter_context(
                subprocess.Popen(
                    ["setsid", "--ctty", *command],
                    stdin=other,
                    stdout=other,
                    stderr=other,
                    env={**os.environ, **plain, **environment},
                )
            )
        finally:
            os.close(other)
        stack.callback(process.kill)
        yield Person(process, terminal)


class Script:
    """Answers to questions that are asked in this process, in their order; then Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._answers: list[str] = []
        self.asked: list[str] = []
        monkeypatch.setattr("builtins.input", self._answer)

    def __call__(self, *answers: str) -> None:
        """Answer so from now on."""
        self._answers = list(answers)

    @property
    def left(self) -> list[str]:
        """What nobody asked for."""
        return self._answers

    def _answer(self, question: str) -> str:
        self.asked.append(question)
        if not self._answers:
            raise KeyboardInterrupt
        return self._answers.pop(0)
