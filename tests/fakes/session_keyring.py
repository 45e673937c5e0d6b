"""A real gnome-keyring-daemon of a test's own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import secretstorage
from secretstorage.util import DBusAddressWrapper, format_secret, open_session

from fakes.session_bus import SessionBus, running
from fakes.waiting import wait_until

MISSING = [name for name in ("dbus-daemon", "gnome-keyring-daemon") if shutil.which(name) is None]
"""What has to be installed before any of this works."""

_MASTER_PASSWORD = b"master"
_INTERNAL = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"


class Keyring:
    """The keyring on a bus: one collection, which the test locks and unlocks."""

    def __init__(self, bus: SessionBus) -> None:
        self._bus = bus

    def lock(self) -> None:
        """Lock the default collection, as a screen lock may."""
        with closing(self._bus.connect()) as connection:
            secretstorage.Collection(connection).lock()

    def unlock(self) -> None:
        """Unlock it, as the person at the prompt would."""
        with closing(self._bus.connect()) as connection:
            master = format_secret(open_session(connection), _MASTER_PASSWORD, "text/plain")
            service = DBusAddressWrapper("/org/freedesktop/secrets", _INTERNAL, connection)
            path = "/org/freedesktop/secrets/collection/login"
            service.call("UnlockWithMasterPassword", "o(oayays)", path, master)

    def forget(self) -> None:
        """Remove the default collection, and with it all passwords."""
        with closing(self._bus.connect()) as connection:
            secretstorage.Collection(connection).delete()

    def is_unlocked(self) -> bool:
        """Whether it is there and unlocked."""
        with closing(self._bus.connect()) as connection:
            try:
                return not secretstorage.Collection(connection).is_locked()
            except secretstorage.SecretStorageException:
                return False


@contextmanager
def gnome_keyring(bus: SessionBus) -> Iterator[Keyring]:
    """A gnome-keyring-daemon on `bus` with an unlocked, empty collection, until the end of the block."""
    command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    environment = os.environ | bus.environment
    with (
        (bus.folder / "keyring.log").open("wb") as log,
        running(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment) as process,
    ):
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(_MASTER_PASSWORD)
        keyring = Keyring(bus)
        wait_until(keyring.is_unlocked, seconds=10, what="an unlocked keyring")
        yield keyring
