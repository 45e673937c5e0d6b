"""Running the helper that changes the system's DNS as root."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from sockslocal import system_dns
from sockslocal.errors import SockslocalError
from sockslocal.problems import problem

HELPER = Path(system_dns.__file__).with_name("helper.py")
"""What is run as root; it is not imported here."""

INSTALLED = Path("/usr/libexec/sockslocal-dns")
"""What runs it where sockslocal is installed for all users: the only one that polkit is asked for.

polkit's rules name it, and nobody but root can put another program in its place.
"""

_NOT_ROOT = 7


def run_helper(*arguments: str) -> dict[str, Any]:
    """What the helper tells, where all went well; raises SockslocalError for the rest.

    Whoever is not root is asked for a password by sudo in a terminal, elsewhere by polkit where it knows us.
    """
    installed = INSTALLED.is_file()
    command = [str(INSTALLED)] if installed else [sys.executable, "-I", str(HELPER)]
    command += arguments
    try:
        done = subprocess.run(
            [*_as_root(command, installed=installed), *command], stdout=subprocess.PIPE, check=False
        )
    except OSError as error:
        raise _denied(f"it cannot be become: {error.strerror}", command) from None
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise _denied("that was not allowed", command) from None
    if done.returncode == _NOT_ROOT:
        raise _denied("this is not root", command)
    if "error" in report:
        remedy = report.get("remedy", "sockslocal dns status")
        raise SockslocalError(problem("system-dns-refused", reason=report["error"], remedy=remedy))
    return dict(report)


def _as_root(command: list[str], *, installed: bool) -> list[str]:
    """What makes `command` one of root's."""
    if sys.platform == "win32" or os.geteuid() == 0:
        return []
    if sys.stdin.isatty() and shutil.which("sudo"):
        return ["sudo", "--"]
    if installed and shutil.which("pkexec"):
        return ["pkexec"]
    if shutil.which("sudo"):
        return ["sudo", "-n", "--"]
    raise _denied("there is no sudo", command)


def _denied(reason: str, command: list[str]) -> SockslocalError:
    return SockslocalError.of(
        "system-dns-denied",
        reason=reason,
        remedy=shlex.join(["sudo", *command] if sys.platform != "win32" else command),
    )
