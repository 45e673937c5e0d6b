"""The problems of passwords, each told for the place the password should come from."""

from sockslocal.credentials.messages import Request
from sockslocal.errors import CredentialsError
from sockslocal.log import escape

_DONE = {"read": "read from", "store": "stored in", "delete": "removed from"}


def failed(request: Request, reason: str, remedy: str) -> CredentialsError:
    """The place cannot be asked, or answers with something else than what was asked for."""
    return CredentialsError.of(
        "password-source-failed",
        server=request.server,
        done=_DONE[request.action],
        where=escape(request.place),
        reason=reason,
        remedy=escape(remedy),
    )


def elsewhere(request: Request) -> str:
    """The remedy where a keyring does not work."""
    return (
        f"start the desktop's keyring, or keep the password elsewhere: in [server.{request.server}] set "
        f'password_from = "file:/path" or "command:pass show {request.server}"'
    )


def unforeseen(request: Request, error: Exception) -> CredentialsError:
    """A library raised what it does not document. Only the class is told: the text may hold the secret."""
    return failed(request, f"{type(error).__name__} was raised", elsewhere(request))


def locked(request: Request, reason: str = "is locked") -> CredentialsError:
    """The keyring would have to ask a person first; `reason` continues "a keyring that"."""
    return CredentialsError.of("needs-unlock", server=request.server, reason=reason)


def missing(request: Request) -> CredentialsError:
    """The place works and has no such password."""
    remedy = "sockslocal restart" if request.source == "prompt" else f"sockslocal login {request.server}"
    return CredentialsError.of(
        "password-missing",
        server=request.server,
        username=request.username,
        where=request.place,
        remedy=remedy,
    )


def late(request: Request) -> CredentialsError:
    """The place gave no answer in time. A keyring that is silent most likely shows its prompt to nobody."""
    if request.source == "keyring":
        return locked(request, f"did not answer within {request.deadline:g} s")
    return failed(request, f"nothing came within {request.deadline:g} s", _LATE_REMEDIES[request.source])


_LATE_REMEDIES = {
    "file": "name a file on a local disk",
    "systemd": "systemctl --user status",
    "command": "run the command in a terminal to see what it waits for",
}
