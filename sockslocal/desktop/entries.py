"""Files of the user's that have something started: written whole, or left as they were."""

import shlex
from pathlib import Path

from sockslocal.desktop.autostart import failed
from sockslocal.files import unwritable_remedy, write_atomically


def write(path: Path, content: bytes) -> None:
    """Make or replace `path`. Raises SockslocalError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise failed(str(path), f"it cannot be written: {error.strerror}", _remedy(error, path)) from None


def remove(path: Path) -> None:
    """Remove `path`, if it is there. Raises SockslocalError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        remedy = f"rm {shlex.quote(str(path))}"
        raise failed(str(path), f"it cannot be removed: {error.strerror}", remedy) from None


def _remedy(error: OSError, path: Path) -> str:
    """About the nearest folder that is there."""
    there = next((folder for folder in path.parents if folder.exists()), path.parent)
    return unwritable_remedy(error, there / path.name)
