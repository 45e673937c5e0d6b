"""The commands that are proposed to a person act on the file that was spoken of, and so say which it is."""

import os
import re
import shlex
from pathlib import Path

from sockslocal import paths
from sockslocal.status import Status

_OF_THE_FILE = re.compile(
    r"\bsockslocal (?=(?:autostart|config|forward|login|logout|restart|run|server|setup|start)\b"
    r"(?!.* --help))"
)
"""What begins a command that reads the configuration; who asks for help needs none."""


def spelled(text: str, config: Path) -> str:
    """`text`, its commands with `--config` where they would else use another file than `config`."""
    if same(config, paths.find().config):
        return text
    return _OF_THE_FILE.sub(lambda _: f"sockslocal --config {shlex.quote(str(config))} ", text)


def same(one: Path, other: Path) -> bool:
    """Whether both lead to one file, which need not be there."""
    return os.path.realpath(one) == os.path.realpath(other)


def config_of(status: Status, otherwise: Path) -> Path:
    """The file that the daemon uses; `otherwise` where it does not say."""
    return Path(status.daemon.config) if status.daemon.config else otherwise
