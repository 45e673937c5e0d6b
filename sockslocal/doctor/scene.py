"""What all checks start from: the configuration and the daemon, as far as they can be read and asked."""

import os
from dataclasses import dataclass

from sockslocal.config import load
from sockslocal.config.model import Config
from sockslocal.control.client import Client
from sockslocal.errors import ConfigError, ControlError
from sockslocal.paths import Paths
from sockslocal.problems import Problem
from sockslocal.status import Status

STATUS_S = 5.0
"""For the daemon to say how it is; one that takes longer counts as stuck."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Without a `status`, `absence` says why there is none, and `pid` is the daemon that does not answer."""

    paths: Paths
    config: Config
    faults: tuple[ConfigError, ...]
    status: Status | None
    absence: Problem | None = None
    pid: int | None = None

    @property
    def is_of_this_config(self) -> bool:
        """Whether a daemon runs that uses the configuration which was read."""
        if self.status is None:
            return False
        used = self.status.daemon.config or self.paths.config
        return os.path.realpath(used) == os.path.realpath(self.paths.config)


def look(paths: Paths) -> Scene:
    """How it is now; raises nothing."""
    config, faults = _read(paths)
    client = Client(paths, deadline=STATUS_S)
    try:
        return Scene(paths, config, faults, client.status())
    except ControlError as error:
        return Scene(paths, config, faults, None, error.problem, client.pid())


def _read(paths: Paths) -> tuple[Config, tuple[ConfigError, ...]]:
    try:
        config, faults = load.check(paths.config)
    except ConfigError as error:
        return Config(paths.config), (error,)
    return config, tuple(faults)
