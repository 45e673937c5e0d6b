"""Where the journal is: one place of the machine's, which only root writes and everybody may read."""

import errno
import os
import stat
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from sockslocal.files import read_bounded
from sockslocal.locks import folder_lock
from sockslocal.system_dns.changes import put
from sockslocal.system_dns.journal import MAX_BYTES, Journal, Snapshot, decode, encode

LOCK_S = 10.0
"""For another helper to be done; none takes longer than that."""

_FOLDERS = {"darwin": "var/db/sockslocal", "win32": "ProgramData/sockslocal"}
_FILE = "system-dns.json"


def path_of(root: Path) -> Path:
    """The journal's."""
    return root / _FOLDERS.get(sys.platform, "var/lib/sockslocal") / _FILE


class Store:
    """The journal of the system that lives in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.path = path_of(root)

    def read(self) -> Journal | None:
        """None where nothing was changed. Raises OSError, and JournalError for what is no journal."""
        try:
            return decode(read_bounded(self.path, MAX_BYTES))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, journal: Journal) -> None:
        """Keep `journal`, on the disk when this returns. Raises OSError."""
        user = group = 0
        if sys.platform != "win32":
            user, group = os.geteuid(), os.getegid()
        put(self.path, Snapshot(kind="file", content=encode(journal), mode=0o644, user=user, group=group))

    def remove(self) -> None:
        """All is as it was. Raises OSError."""
        put(self.path, Snapshot())

    def locked(self) -> AbstractContextManager[None]:
        """Within, no other helper changes anything. Raises OSError, which TimeoutError is."""
        self._make_folder()
        return folder_lock(self.path.parent, LOCK_S)

    def _make_folder(self) -> None:
        """The folder; one that others can write to would have us bring back what they like."""
        folder = self.path.parent
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if sys.platform == "win32":
            return
        state = folder.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
            raise PermissionError(errno.EPERM, f"{folder} is not root's alone")
