"""A file to send with a report of an error: all that helps, and no secret."""

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from sockslocal import log
from sockslocal.config.load import MAX_BYTES
from sockslocal.doctor.redaction import redact
from sockslocal.doctor.report import Section, as_json
from sockslocal.doctor.scene import Scene
from sockslocal.errors import SockslocalError
from sockslocal.files import read_bounded

LOG_OCTETS = 256 * 1024
"""Of the end of the log."""


def write(target: Path, scene: Scene, sections: Sequence[Section]) -> None:
    """Put it into the new file `target`, which only its owner can read. Raises SockslocalError."""
    parts = {
        "config.toml": _config(scene),  # first: what it hides is hidden in the others too
        "doctor.json": _json(as_json(sections)),
        "status.json": _json(msgspec.to_builtins(scene.status)),
        "log.txt": log.scrub(_end_of(scene.paths.log)),
        "start.txt": log.scrub(_end_of(scene.paths.state / "sockslocal.out")),
    }
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, text in parts.items():
                bundle.writestr(f"sockslocal/{name}", text.encode(errors="replace"))
    except OSError as error:
        reason = f"{target} cannot be written: {error.strerror}"
        raise SockslocalError.of(
            "usage", reason=reason, remedy="sockslocal doctor --bundle ANOTHER.zip"
        ) from None


def _config(scene: Scene) -> str:
    try:
        text = read_bounded(scene.paths.config, MAX_BYTES).decode(errors="replace")
    except OSError as error:
        return f"# {error.strerror}\n"
    redacted = redact(text)
    for secret in redacted.hidden:
        log.conceal(secret)
    return redacted.text


def _json(value: object) -> str:
    return json.dumps(_scrubbed(value), indent=2) + "\n"


def _scrubbed(value: Any) -> Any:
    """`value` without concealed secrets in its texts."""
    if isinstance(value, str):
        return log.scrub(value)
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items()}
    return [_scrubbed(each) for each in value] if isinstance(value, (list, tuple)) else value


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_OCTETS))
            return file.read(LOG_OCTETS).decode(errors="replace")
    except OSError as error:
        return f"{error.strerror}\n"
