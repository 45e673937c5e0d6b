"""Where the configuration, the run-time files and the state live.

Each can be moved by an environment variable; otherwise it is the place the platform has for it.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APPLICATION = "sockslocal"


@dataclass(frozen=True, slots=True)
class Paths:
    """The three places of one installation."""

    config: Path
    runtime: Path
    state: Path

    @property
    def log(self) -> Path:
        return self.state / "sockslocal.log"

    @property
    def switches(self) -> Path:
        """What the user switched off, kept across restarts."""
        return self.state / "switches.json"

    @property
    def profiles(self) -> Path:
        """What was learned of the servers."""
        return self.state / "profiles.json"

    @property
    def answers(self) -> Path:
        """What the resolver was told, where it is to be kept."""
        return self.state / "dns-answers"


def find(config: str | None = None) -> Paths:
    """The places in force; `config` is what the user gave with `--config`."""
    environment = os.environ
    chosen = config or environment.get("SOCKSLOCAL_CONFIG")
    runtime = environment.get("SOCKSLOCAL_RUNTIME_DIR")
    state = environment.get("SOCKSLOCAL_STATE_DIR")
    state_path = Path(state) if state else platformdirs.user_state_path(APPLICATION, appauthor=False)
    folder = platformdirs.user_config_path(APPLICATION, appauthor=False)
    return Paths(
        config=Path(chosen) if chosen else folder / "config.toml",
        runtime=Path(runtime) if runtime else _runtime_path(state_path),
        state=state_path,
    )


def _runtime_path(state: Path) -> Path:
    """The user's runtime folder; without a usable one, a folder of the state, never one in a shared /tmp."""
    if sys.platform != "linux":
        return platformdirs.user_runtime_path(APPLICATION, appauthor=False)
    base = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    usable = base.is_absolute() and os.access(base, os.W_OK | os.X_OK)
    return base / APPLICATION if usable else state / "run"
