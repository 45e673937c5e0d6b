"""Programs of a test's own, which note how they were called."""

from pathlib import Path

import pytest


class Programs:
    """A folder that is all there is on the PATH, beside what every shell script needs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        monkeypatch.setenv("PATH", str(folder))

    def add(self, name: str, does: str = "") -> None:
        """A program that notes its arguments, one a line, and its stdin, and then does this in sh."""
        script = self._folder / name
        notes = self._folder / f"{name}.called"
        script.write_text(
            f"""#!/bin/sh
PATH=/usr/bin:/bin
for argument; do printf '%s\\n' "$argument"; done > {notes}.new
[ -t 0 ] || cat > {notes}.stdin
mv {notes}.new {notes}
{does}
"""
        )
        script.chmod(0o755)

    def arguments(self, name: str) -> list[str] | None:
        """How it was called last; None where it was not."""
        notes = self._folder / f"{name}.called"
        return notes.read_text().splitlines() if notes.exists() else None

    def stdin(self, name: str) -> bytes:
        """What it was given to read."""
        return (self._folder / f"{name}.called.stdin").read_bytes()
