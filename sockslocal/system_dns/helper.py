"""The program that changes the system's DNS as root, and all that it can be told.

    apply PORT [fail-closed] [resolv-conf]
    restore [stale]
    status

There are no paths, no names and no addresses among its arguments, and none in its environment: it is run
isolated (`python -I`), imports the standard library and modules beside it, and prints one line of JSON.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # last, so that nothing beside it takes the place of the standard library
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from sockslocal.system_dns import backends, questions, state
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import Journal, is_port
from sockslocal.system_dns.keeping import Report, switch_and_keep, told
from sockslocal.system_dns.system import ROOT, System
from sockslocal.system_dns.transaction import Transaction

_USAGE = "apply PORT [fail-closed] [resolv-conf] | restore [stale] | status"
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_DONE, _FAILED, _WRONG, _NOT_ROOT = 0, 1, 2, 7


class Options(NamedTuple):
    """What `apply` is told."""

    port: int
    fail_open: bool
    last_resort: bool


def main(arguments: Sequence[str], system: System | None = None) -> int:
    """Do what `arguments` ask for; the exit code, with what there is to tell on stdout."""
    machine = system or System()
    try:
        report = _dispatch(list(arguments), machine)
    except (RefusedError, OSError) as error:
        report = told(error)
    print(json.dumps(report), flush=True)  # noqa: T201  what it is for
    if "error" not in report:
        return _DONE
    return int(report.get("code", _FAILED))


def _dispatch(arguments: list[str], system: System) -> Report:
    transaction = Transaction(system, backends.of(system))
    if arguments == ["status"]:
        return {"status": state.text(state.look(system))}
    options = _options(arguments)
    if options is None and arguments not in (["restore"], ["restore", "stale"]):
        return {"error": f"usage: {_USAGE}", "code": _WRONG}
    if system.root == ROOT and not _is_root():
        return {"error": "this needs root", "code": _NOT_ROOT}
    if options is None:
        done = transaction.restore(stale="stale" in arguments)
        return {"restored": done.was_switched, "left": done.left}
    return _apply(transaction, system, options)


def _options(arguments: list[str]) -> Options | None:
    """What `apply` is told, None where that is not what it is told."""
    if len(arguments) < 2 or arguments[0] != "apply" or not _PORT.fullmatch(arguments[1]):
        return None
    port, words = int(arguments[1]), arguments[2:]
    if not is_port(port) or len(set(words)) < len(words) or not {*words} <= {"fail-closed", "resolv-conf"}:
        return None
    return Options(port, "fail-closed" not in words, "resolv-conf" in words)


def _is_root() -> bool:
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.windll.shell32.IsUserAnAdmin())
    return os.geteuid() == 0


def _caller() -> int:
    """The user who had this run as root."""
    for name in ("PKEXEC_UID", "SUDO_UID"):
        uid = os.environ.get(name, "")
        if uid.isascii() and uid.isdigit():
            return int(uid)
    if sys.platform == "win32":
        return 0
    return os.getuid()


def _apply(transaction: Transaction, system: System, options: Options) -> Report:
    caller = _caller()

    def may_answer() -> bool:
        return system.listeners(options.port) <= {caller, 0}

    if not may_answer():
        raise RefusedError(f"another user listens on 127.0.0.1:{options.port}")
    if not _answers(system, options.port):
        raise RefusedError(f"nobody answers at 127.0.0.1:{options.port}")
    if sys.platform == "win32" or not options.fail_open:
        return _switch(transaction, options)[1]
    return switch_and_keep(transaction, partial(_switch, transaction, options), may_answer)


def _answers(system: System, port: int) -> bool:
    number = int.from_bytes(os.urandom(2), "big")
    try:
        return (
            questions.answers(system.ask("127.0.0.1", port, questions.heartbeat(number)), number) is not None
        )
    except OSError:
        return False


def _switch(transaction: Transaction, options: Options) -> tuple[Journal, Report]:
    done = transaction.apply(options.port, fail_open=options.fail_open, last_resort=options.last_resort)
    return done.journal, {
        "applied": done.journal.method,
        "servers": done.journal.servers,
        "warnings": done.warnings,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
