"""The daemon's log: one line an event, rotated, with no secret in it.

Names and texts from outside are hostile: every control character of a line is escaped, so that nobody forges a
line or paints a terminal. Known secrets are cut out of the finished text, tracebacks included.
"""

import logging
import logging.handlers
import re
import sys
from pathlib import Path

MAX_BYTES = 2_000_000
KEPT_FILES = 3
SHORTEST_CONCEALED = 4
"""Cutting shorter texts out would only garble the log: they occur in ordinary words."""

MAX_LINE = 4_000

_concealed: set[str] = set()
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")


def conceal(text: str) -> None:
    """From now on `text` is cut out of every log line."""
    if len(text) >= SHORTEST_CONCEALED:
        _concealed.add(text)


def scrub(text: str) -> str:
    """`text` with every concealed secret replaced, in any of the spellings that Python prints it in."""
    for secret in sorted(_concealed, key=len, reverse=True):
        for spelling in (secret, repr(secret)[1:-1], ascii(secret)[1:-1], repr(secret.encode())[2:-1]):
            text = text.replace(spelling, "•••")
    return text


def escape(text: str) -> str:
    """`text` on one line: control and direction-changing characters as backslash escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class Formatter(logging.Formatter):
    """One line a record; a traceback follows, each of its lines indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        return escape(scrub(super().formatMessage(record)))[:MAX_LINE]

    def formatException(self, ei: object) -> str:  # noqa: N802 (logging's name)
        text = scrub(super().formatException(ei))  # type: ignore[arg-type]  # exc_info, typed privately in typeshed
        return "\n".join("    " + escape(line)[:MAX_LINE] for line in text.splitlines())


class _Rotated(logging.handlers.RotatingFileHandler):
    """A full disk or a vanished folder costs log lines, never the service."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        pass


def set_up(path: Path | None, level: str = "INFO") -> None:
    """Log to `path`, rotated at 2 MB with three older files kept; to stderr where `path` is None."""
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = _Rotated(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8", errors="backslashreplace")
        path.chmod(0o600)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.raiseExceptions = False
