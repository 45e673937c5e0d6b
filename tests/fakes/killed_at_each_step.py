"""A process that switches or restores a machine, killed before each thing that it does, one run for each.

    python -m fakes.killed_at_each_step MACHINE VERB WAY NEXT FOLDER

WAY is `rename`, or `in-place` for a resolv.conf that is a mount of its own. After each kill comes NEXT, which
is `restore`, or `apply` and `restore`; then all has to be as it was. It prints how often it killed.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.system_dns import MACHINES, Machine
from sockslocal.system_dns import backends
from sockslocal.system_dns.journal import RESOLV_CONF
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction

_CHANGES = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.chmod", "os.chown"),
    *("os.truncate", "os.setxattr"),
}


class Fuse:
    """Kills this process before its step number `last`, where that is not None."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)
        )
        if self.last is not None and (event in _CHANGES or writes):
            self.step()


FUSE = Fuse()


def before_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, each call of which is a step."""

    def called(*arguments: Any, **options: Any) -> Any:
        if FUSE.last is not None:
            FUSE.step()
        return function(*arguments, **options)

    return called


def as_a_mount(target: Path) -> None:
    """Have `target` be what no other file can be renamed over."""
    replace = Path.replace

    def refuse(self: Path, to: Path) -> Path:
        if to == target:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return replace(self, to)

    Path.replace = refuse  # type: ignore[method-assign,assignment]


def do(machine: Machine, verb: str) -> None:
    """The verb of the helper, without its processes."""
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    if verb == "apply":
        transaction.apply(machine.port, fail_open=True, last_resort=True)
    else:
        transaction.restore()


def killed(machine: Machine, verb: str, last: int) -> bool:
    """Whether `verb` has as many as `last` steps, and was killed before that one."""
    process = os.fork()
    if process == 0:
        FUSE.last = last
        machine._run = before_each(machine._run)  # type: ignore[method-assign]
        do(machine, verb)
        os._exit(0)
    status = os.waitpid(process, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, f"{verb} failed at step {last}"
    return os.WIFSIGNALED(status)


def main(kind: str, verb: str, way: str, then: str, folder: str) -> None:
    """As the module's docstring says."""
    sys.addaudithook(FUSE.audit)
    os.fsync = before_each(lambda _descriptor: None)
    os.fdopen = before_each(os.fdopen)
    for last in range(1, 1000):
        root = Path(folder) / str(last)
        machine = MACHINES[kind](root)
        if way == "in-place":
            as_a_mount(root / RESOLV_CONF)
        before = machine.picture()
        if verb == "restore":
            do(machine, "apply")
        if not killed(machine, verb, last):
            print(last - 1)
            return
        if then == "apply":
            do(machine, "apply")
            assert machine.is_ours, f"step {last}"
        do(machine, "restore")
        assert machine.picture() == before, f"step {last}: {machine.picture()} is not {before}"
        assert Store(root).read() is None, f"step {last}"


if __name__ == "__main__":
    main(*sys.argv[1:])
