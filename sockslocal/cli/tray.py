"""`tray`: the icon, which is a program of its own and becomes this process."""

import os
import subprocess
import sys
from argparse import Namespace

from sockslocal import children
from sockslocal.cli.context import Context


def show(arguments: Namespace, context: Context) -> int:  # noqa: RET503  the last line never returns
    """The tray's exit code, where this process has not become the tray itself."""
    command = [
        *children.command_of("sockslocal_tray"),
        *("--config", str(context.paths.config.absolute())),
        *("--wait", str(arguments.wait)),
        *("--panel", arguments.panel),
    ]
    if sys.platform == "win32":  # where a process cannot become another
        return subprocess.call(command)
    os.execv(command[0], command)  # noqa: S606  a shell has nothing to add
