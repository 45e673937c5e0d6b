"""The child's side: one request from stdin, one answer to stdout, the end.

This is the one place where anything may be raised, by anybody's library. stderr is /dev/null.
"""

import os
import signal
import sys
import threading

from sockslocal.credentials import failures, limits
from sockslocal.credentials.hardening import harden
from sockslocal.credentials.messages import Answer, Request, decode_request, encode
from sockslocal.errors import CredentialsError
from sockslocal.secret import Secret

_GRACE = 5.0
"""Seconds past the deadline. The parent kills at the deadline; where it died itself, nobody else would."""


def main() -> None:
    """Serve the one request."""
    harden()
    request = decode_request(sys.stdin.buffer.read())
    _end_after(request.deadline + _GRACE)
    sys.stdout.buffer.write(encode(answer(request)))


def answer(request: Request) -> Answer:
    """Do what `request` asks; every failure becomes the answer's problem."""
    try:
        if request.action == "read":
            return Answer(password=_read(request))
        _change(request)
        return Answer()
    except CredentialsError as error:
        return Answer(problem=error.problem)
    except Exception as error:  # noqa: BLE001  see above
        return Answer(problem=failures.unforeseen(request, error).problem)


def _read(request: Request) -> Secret:
    if request.source == "keyring":
        from sockslocal.credentials import keyrings  # the libraries come only where they are wanted

        return limits.check(keyrings.get(request), server=request.server)
    if request.source == "command":
        from sockslocal.credentials import commands

        content = commands.read_command(request)
    else:
        from sockslocal.credentials import files

        content = files.read_file(request) if request.source == "file" else files.read_systemd(request)
    return limits.decode(content, server=request.server)


def _change(request: Request) -> None:
    from sockslocal.credentials import keyrings

    if request.action == "store":
        keyrings.put(request)
    else:
        keyrings.remove(request)


def _end_after(seconds: float) -> None:
    """Kill this process and the command it may have started, unless it has ended by itself before."""
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    if sys.platform != "win32" and os.getpgrp() == os.getpid():  # the parent made this group for the child
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
