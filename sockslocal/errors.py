"""The exceptions a user may come to read; each carries a `Problem` and the exit code that belongs to it.

SockslocalError
├── ConfigError            a file the user wrote; knows path and line
├── CredentialsError       no password, or not now
├── ListenError            a local address cannot be listened on
├── ControlError           the daemon is not there, or did not like the request
└── ServerError            the SOCKS5 server, or the way to it
    └── socks5.errors      what the codec refuses or is told (see there)
"""

from pathlib import Path
from typing import Self

from sockslocal.problems import REGISTRY, ExitCode, Problem, problem


class SockslocalError(Exception):
    """The base of all; `problem` says what is wrong and what mends it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem

    @classmethod
    def of(cls, code: str, **details: object) -> Self:
        """The error for the registry's row `code`."""
        return cls(problem(code, **details))

    @property
    def exit_code(self) -> ExitCode:
        kind = REGISTRY.get(self.problem.code)
        return kind.exit_code if kind else ExitCode.FAILED


class ConfigError(SockslocalError):
    """A configuration that cannot be used; `line` counts from 1, None where no line is to blame.

    `where` is the keys that lead to what is wrong; it is empty for what is wrong with the whole file.
    """

    def __init__(
        self,
        problem: Problem,
        path: Path | None = None,
        line: int | None = None,
        where: tuple[str | int, ...] = (),
    ) -> None:
        super().__init__(problem)
        self.path = path
        self.line = line
        self.where = where


class CredentialsError(SockslocalError):
    """The password could not be had; `problem.code` is `needs-unlock` where waiting helps."""


class ListenError(SockslocalError):
    """A local address that cannot be listened on."""


class ControlError(SockslocalError):
    """The daemon is not there, or refused what was asked."""


class ServerError(SockslocalError):
    """The SOCKS5 server, or the way to it."""
