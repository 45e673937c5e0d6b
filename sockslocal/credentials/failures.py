"""The problems of passwords, each told for the place the password should come from."""

from sockslocal.credentials.messages import Request
from sockslocal.errors import CredentialsError


def failed(request: Request, reason: str, remedy: str) -> CredentialsError:
    """The place cannot be asked, or answers with something else than a password."""
    return CredentialsError.of(
        "password-source-failed", server=request.server, where=request.place, reason=reason, remedy=remedy
    )


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
