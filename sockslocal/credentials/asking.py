"""Passwords from the person at the terminal, for the `prompt` source and for `login`."""

import getpass
import warnings
from typing import BinaryIO

from sockslocal.credentials.limits import check, decode
from sockslocal.errors import CredentialsError
from sockslocal.secret import Secret


def ask(server: str, username: str, *, margin: str = "") -> Secret:
    """Ask for the password on the terminal, without echo. Raises CredentialsError; Ctrl-C passes through."""
    with warnings.catch_warnings():
        # getpass would fall back to an echoing prompt.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            text = getpass.getpass(f"{margin}Password of {username} at {server}: ")
        except (getpass.GetPassWarning, EOFError):
            raise _unasked(server) from None
    return check(Secret(text), server=server)


def from_stream(stream: BinaryIO, *, server: str) -> Secret:
    """The password that somebody pipes in, as a line."""
    return decode(stream.read(_MAX_BYTES), server=server)


_MAX_BYTES = 64 * 1024


def _unasked(server: str) -> CredentialsError:
    return CredentialsError.of(
        "password-source-failed",
        server=server,
        done="read from",
        where="the terminal",
        reason="nobody answered there",
        remedy=f"sockslocal login {server} --stdin < FILE",
    )
