"""Passwords in the keyring of the desktop, through `keyring`. Only the child imports this.

The back ends are a fixed list, tried in order, for two reasons. What `keyring` would pick may be a file in
plain text or a null store, by `PYTHON_KEYRING_BACKEND`, by `keyringrc.cfg` (which also extends sys.path) or
by whatever is installed. And its choice depends on the desktop's variables, which a terminal has and a
service has not: `login` would store where the daemon does not look. libsecret is absent: it reaches the same
service as SecretService, but cannot be asked whether it would prompt.
"""

import importlib
import sys

from keyring import errors
from keyring.backend import KeyringBackend

from sockslocal.credentials import prompting
from sockslocal.credentials.failures import elsewhere, failed, locked, missing
from sockslocal.credentials.messages import Request
from sockslocal.secret import Secret

_FREEDESKTOP = ("SecretService.Keyring", "kwallet.DBusKeyring")
_BACKENDS = {"darwin": ("macOS.Keyring",), "win32": ("Windows.WinVaultKeyring",)}

_GUARDS = {
    "SecretService.Keyring": prompting.guard_secret_service,
    "kwallet.DBusKeyring": prompting.guard_kwallet,
}
"""The others never prompt (Windows), or cannot be asked beforehand (macOS: the deadline ends it)."""


def get(request: Request) -> Secret:
    """The password; never prompts where that can be known beforehand. Raises CredentialsError."""
    name, backend = _pick(request)
    if guard := _GUARDS.get(name):
        guard(request, backend)
    try:
        password = backend.get_password(request.service, request.username)
    except errors.KeyringLocked:
        raise locked(request) from None
    if password is None:
        raise missing(request)
    return Secret(password)


def put(request: Request) -> None:
    """Store `request.password`; may prompt the person to unlock. Raises CredentialsError."""
    assert request.password is not None  # noqa: S101  for mypy: `store` gave it
    _, backend = _pick(request)
    if sys.platform == "win32":
        backend.persist = "local machine"  # type: ignore[attr-defined]  # the default roams to other machines
    try:
        backend.set_password(request.service, request.username, request.password.reveal())
    except errors.KeyringLocked:
        raise locked(request) from None
    except (errors.InitError, errors.PasswordSetError):
        raise failed(request, "it cannot be opened, or takes no passwords", elsewhere(request)) from None


def remove(request: Request) -> None:
    """Delete the password; may prompt the person to unlock. Raises CredentialsError."""
    _, backend = _pick(request)
    try:
        backend.delete_password(request.service, request.username)
    except errors.KeyringLocked:
        raise locked(request) from None
    except errors.PasswordDeleteError:
        raise missing(request) from None


def _pick(request: Request) -> tuple[str, KeyringBackend]:
    """The first back end of the list that works here, and its name in `_GUARDS`."""
    for name in _BACKENDS.get(sys.platform, _FREEDESKTOP):
        module, _, kind = name.partition(".")
        backend = getattr(importlib.import_module(f"keyring.backends.{module}"), kind)
        if backend.viable:
            return name, backend()
    raise failed(request, "no keyring can be reached", elsewhere(request))
