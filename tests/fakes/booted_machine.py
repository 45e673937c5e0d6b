"""A machine with real services: systemd as process 1 of namespaces of its own, over this one's disk."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from fakes.waiting import wait_until

TESTS = Path(__file__).parents[1]
PACKAGES = TESTS.parent / ".venv-test-packages"
"""What tests/run.sh has unpacked: installed, it would change what this machine's names come from."""

BOOT_S = 60.0
_SCRIPT = Path(__file__).with_suffix(".sh")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN = (str(TESTS.parent), sys.prefix, sys.base_prefix)


def why_not() -> str:
    """What keeps such a machine from being there; empty where nothing does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root of a Linux"
    missing = [name for name in ("unshare", "nsenter", "ip", "tar", "pivot_root") if not shutil.which(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not PACKAGES.is_dir():
        return "no packages: sh tests/run.sh unpacks them"
    return "" if _cgroups() else "no cgroup2 that can be written to"


def _cgroups() -> Path | None:
    """Where the kernel's tree of cgroups is."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, path, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(path)
    return None


class BootedMachine:
    """From `install` to the exit of the `with`; its disk outlives `power_off`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "machine"
        self._folder.mkdir()
        self._cgroup = (_cgroups() or Path()) / f"sockslocal-test-{os.getpid()}"
        self._disk: subprocess.Popen[bytes] | None = None
        self._power: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        self._disk = self._spawn(["unshare", "-m", "--propagation", "private", "sleep", "infinity"])
        own = Path("/proc/self/ns/mnt").readlink()
        theirs = Path(f"/proc/{self._disk.pid}/ns/mnt")
        wait_until(lambda: theirs.readlink() != own, seconds=10, what="it has namespaces")
        try:
            self._on_disk("sh", str(_SCRIPT), "install", str(self._folder), str(PACKAGES))
        except subprocess.CalledProcessError as error:
            self.__exit__()
            pytest.skip(f"no overlay here: {error.stderr.decode()}")
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        assert self._disk is not None
        self._disk.kill()
        self._disk.wait()

    @property
    def pid(self) -> int:
        """Its process 1, as this machine numbers it."""
        return self._pid

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """A file on its disk, whether it runs or not."""
        target = self._folder / "root" / path
        script = 'mkdir -p "$(dirname "$0")"; rm -f "$0"; cat > "$0"; chmod "$1" "$0"'
        self._on_disk("sh", "-c", script, str(target), f"{mode:o}", text=content)

    def link(self, path: str, leads: str) -> None:
        """A symbolic link on its disk."""
        self._on_disk("ln", "-sf", leads, str(self._folder / "root" / path))

    def boot(self) -> None:
        """Until all that is to start has started."""
        assert self._disk is not None
        self._cgroup.mkdir(exist_ok=True)
        enter = ["nsenter", "-t", str(self._disk.pid), "-m", "--"]
        namespaces = ["unshare", "-mpnuiC", "--fork", "--kill-child"]
        start = ["sh", str(_SCRIPT), "boot", str(self._folder), *_SHOWN]
        join = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self._cgroup)]
        self._power = self._spawn([*join, *enter, *namespaces, *start])
        children = Path(f"/proc/{self._power.pid}/task/{self._power.pid}/children")
        wait_until(lambda: self._is_systemd(children), seconds=BOOT_S, what="it has a process 1")
        wait_until(self._has_started, seconds=BOOT_S, what="it has started")

    def _is_systemd(self, children: Path) -> bool:
        assert self._power is not None
        assert self._power.poll() is None, "it did not start"
        found = children.read_text().split()
        self._pid = int(found[0]) if found else 0
        return bool(found) and Path(f"/proc/{self._pid}/comm").read_text() == "systemd\n"

    def _has_started(self) -> bool:
        return self.run("systemctl", "is-active", "machine.target", check=False) == "active\n"

    def power_off(self) -> None:
        """As when it is pulled out of the wall: every process is killed, and what is in memory is gone."""
        if self._power is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._power.kill()
        self._power.wait()
        self._power = None
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            wait_until(lambda: _is_removed(Path(folder)), seconds=10, what=f"{folder} is empty")  # noqa: B023

    def run(self, *command: str, check: bool = True) -> str:
        """What a command on it prints."""
        done = subprocess.run(
            self._inside(*command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    @contextlib.contextmanager
    def program(self, *command: str) -> "Iterator[subprocess.Popen[str]]":
        """A program on it, which is killed at the end of the `with`."""
        with subprocess.Popen(self._inside(*command), stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def running(self, *command: str) -> "Iterator[subprocess.Popen[str]]":
        """A program on it that has printed its first line."""
        with self.program(*command) as process:
            assert process.stdout is not None
            assert process.stdout.readline(), f"{command} did not start"
            yield process

    def _inside(self, *command: str) -> list[str]:
        environment = [f"PATH={_PATH}", "LC_ALL=C", f"PYTHONPATH={TESTS.parent}:{TESTS}"]
        with_us = ["setpriv", "--pdeathsig", "KILL"]  # nsenter is its parent, and what we kill
        return ["nsenter", "-t", str(self._pid), "-a", "--", *with_us, "env", "-i", *environment, *command]

    def _on_disk(self, *command: str, text: str = "") -> str:
        assert self._disk is not None
        enter = ["nsenter", "-t", str(self._disk.pid), "-m", "--"]
        done = subprocess.run([*enter, *command], input=text.encode(), capture_output=True, check=True)
        return done.stdout.decode()

    @staticmethod
    def _spawn(command: list[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _is_removed(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()
