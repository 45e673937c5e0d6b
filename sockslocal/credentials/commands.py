"""Passwords that a command prints: `command:pass show proxy`."""

import shlex
import signal
import subprocess
import sys

from sockslocal.credentials.failures import failed
from sockslocal.credentials.files import MAX_BYTES
from sockslocal.credentials.messages import Request

_REMEDY = "run the command in a terminal: it must print the password and nothing else"


def read_command(request: Request) -> bytes:
    """What the command `request.argument` prints. No shell runs it, and it has neither stdin nor a terminal.

    What it says on stderr is dropped, and what it printed before it failed too: either may hold a secret.
    """
    try:
        process = subprocess.Popen(
            _arguments(request),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
    except OSError as error:
        raise failed(request, f"it cannot be run: {error.strerror}", _REMEDY) from None
    except ValueError:  # a NUL in it
        raise failed(request, "it cannot be run: it has a NUL character", _REMEDY) from None
    with process:
        output = _read_bounded(request, process)
    if process.returncode:
        raise failed(request, _ending(process.returncode), _REMEDY)
    return output


def _arguments(request: Request) -> str | list[str]:
    if sys.platform == "win32":
        return request.argument  # each program splits its own command line there
    try:
        arguments = shlex.split(request.argument)
    except ValueError:
        raise failed(request, "its quotation marks do not match", _REMEDY) from None
    if not arguments:
        raise failed(request, "none is named", f'password_from = "command:pass show {request.server}"')
    return arguments


def _read_bounded(request: Request, process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None  # noqa: S101  for mypy: it was opened as a pipe
    output = bytearray()
    while data := process.stdout.read(MAX_BYTES):
        output += data
        if len(output) > MAX_BYTES:
            process.kill()
            raise failed(request, f"it printed more than {MAX_BYTES} bytes", _REMEDY)
    return bytes(output)


def _ending(status: int) -> str:
    if status > 0:
        return f"it ended with exit status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
