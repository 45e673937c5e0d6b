"""What every command is given besides its own arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sockslocal.paths import Paths
from sockslocal.secret import Secret


class Run(Protocol):
    """Is the daemon until it is told to stop; raises SockslocalError for what keeps it from starting."""

    def __call__(
        self, paths: Paths, *, log_to_stderr: bool, level: str, secrets: Mapping[str, Secret]
    ) -> int: ...


class Demo(Protocol):
    """Runs the demo."""

    def __call__(self, *, once: bool) -> int: ...


@dataclass(frozen=True, slots=True)
class Context:
    """The places in force, and what the command line may not import."""

    paths: Paths
    run: Run
    demo: Demo
