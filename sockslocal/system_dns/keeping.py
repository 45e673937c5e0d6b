"""The two processes of a switching: one that switches and stays, and one that waits for its report.

If the first one is killed before it has told how it went, the other one restores.
"""

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import Journal
from sockslocal.system_dns.keeper import Keeper
from sockslocal.system_dns.transaction import Transaction

REPORT_S = 30.0
"""For the process that switches; each of its commands has a few seconds."""

_REPORT_BYTES = 64 * 1024

Report = dict[str, Any]
Switch = Callable[[], tuple[Journal, Report]]


def told(error: RefusedError | OSError) -> Report:
    """What went wrong, as it is told to whoever called."""
    if isinstance(error, RefusedError):
        return {"error": error.reason, "remedy": error.remedy}
    if isinstance(error, TimeoutError):
        return {"error": "another one has been changing the system's DNS all the time"}
    where = f": {error.filename}" if isinstance(error.filename, str) else ""
    return {"error": f"{error.strerror or error}{where}"}


def switch_and_keep(transaction: Transaction, switch: Switch, may_answer: Callable[[], bool]) -> Report:
    """Switch in a process that stays, and how that went. Raises RefusedError, OSError."""
    if sys.platform == "win32":
        raise NotImplementedError("there is no fork")
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        with suppress(BaseException):
            _be_keeper(transaction, switch, may_answer, writer)
        os._exit(0)
    os.close(writer)
    report = _report_from(reader)
    os.close(reader)
    if report is not None:
        return report
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    transaction.restore()
    raise RefusedError("the process that switched was ended, and all is as before")


def _be_keeper(transaction: Transaction, switch: Switch, may_answer: Callable[[], bool], writer: int) -> None:
    if sys.platform != "win32":
        os.setsid()  # the end of the terminal is not to be ours
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    journal: Journal | None = None
    try:
        journal, report = switch()
    except (RefusedError, OSError) as error:
        report = told(error)
    with suppress(OSError):  # nobody may be there to be told; it is kept all the same
        os.write(writer, json.dumps(report).encode())
    os.close(writer)
    if journal is not None:
        Keeper(transaction, journal, may_answer).keep()


def _report_from(pipe: int) -> Report | None:
    """What the other process tells; None where it ends, or hangs, before it tells."""
    if not select.select([pipe], [], [], REPORT_S)[0]:
        return None
    written = os.read(pipe, _REPORT_BYTES)
    return dict(json.loads(written)) if written else None
