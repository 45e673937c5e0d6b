"""Starting children that run modules of this package, and are talked to through pipes."""

import subprocess
import sys
from collections.abc import Sequence

if sys.platform == "win32":
    _NO_WINDOW = subprocess.CREATE_NO_WINDOW
else:
    _NO_WINDOW = 0


def command_of(module: str) -> list[str]:
    """How `module` is run. A frozen executable has no `-m` and will need its own way in here.

    -P: a `keyring.py` in the current folder is not what gets imported.
    """
    return [sys.executable, "-P", "-m", module]


def start(command: Sequence[str], *, own_group: bool = False) -> subprocess.Popen[bytes]:
    """A child with pipes for stdin and stdout, and no stderr. Raises OSError.

    With a group of its own it can be killed as one with what it starts; Windows has no such groups.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=own_group,
        creationflags=_NO_WINDOW,
    )
