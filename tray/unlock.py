"""Has the desktop ask the person to unlock the keyring, as a process: its libraries are not the tray's.

Exit code 0: it is unlocked. Whoever started this ends it where the person does not answer.
"""

import importlib
import sys


def main() -> int:
    """Ask the first keyring that is there."""
    for name, ask in (("SecretService", "get_preferred_collection"), ("kwallet", "connected")):
        backend = importlib.import_module(f"keyring.backends.{name}")
        kind = backend.Keyring if name == "SecretService" else backend.DBusKeyring
        if kind.viable:
            getattr(kind(), ask)(*(["sockslocal"] if name == "kwallet" else []))
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
