"""The daemon's log: one line an event, rotated, with no secret in it.

Names and texts from outside are hostile: whatever is not printable is escaped, so that nobody forges a
line or paints a terminal. Known secrets are cut out of the finished text, tracebacks included, before it is
cut to length.
"""

import logging
import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

MAX_BYTES = 2_000_000
KEPT_FILES = 3
SHORTEST_CONCEALED = 4
"""Cutting shorter texts out would only garble the log: they occur in ordinary words."""

MAX_LINE = 4_000
MAX_TRACE_LINES = 200
"""Of a longer traceback the beginning and the end are kept: where it was caught, and what it was."""

_TALKATIVE = ("h2", "hpack")
"""Libraries that tell each step at DEBUG: of one DNS query, twenty lines."""

_concealed: dict[str, str] = {}
"""Every secret, and a pattern for it."""

_SHORT_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", " ": r"\+"}
"""Python's and JSON's, without backslash, and a URL's."""

_any_concealed: re.Pattern[str] | None = None


def conceal(text: str) -> None:
    """From now on `text` is cut out of every log line, however often it was escaped on its way there."""
    global _any_concealed  # noqa: PLW0603  replaced whole, for another thread may be using it
    if len(text) < SHORTEST_CONCEALED or text in _concealed:
        return
    _concealed[text] = _pattern(text)
    longest_first = sorted(_concealed, key=len, reverse=True)  # one may be part of another
    _any_concealed = re.compile("|".join(_concealed[secret] for secret in longest_first))


def scrub(text: str) -> str:
    """`text` without any concealed secret."""
    return _any_concealed.sub("•••", text) if _any_concealed else text


def _pattern(secret: str) -> str:
    r"""All spellings of `secret`: `\n` may stand as `\\n`, `é` as `\xe9`, `\u00e9`, `\xc3\xa9` or `%C3%A9`.

    How many backslashes an escape has tells how often it was escaped, so any number will do. They are taken
    possessively and from the first one on: else a long row in a peer's text would take time without end.
    """
    return "".join(_spellings(run) for run in re.findall(r"\\+|.", secret, re.DOTALL))


def _spellings(run: str) -> str:
    """A pattern for one character, or for a row of backslashes."""
    if run.isascii() and run.isalnum():
        return run
    octets = run.encode(errors="surrogatepass")
    escapes = ["".join(f"%{octet:02x}" for octet in octets)]
    if run[0] == "\\":
        return rf"(?:(?<!\\)\\{{{len(run)},}}+|(?i:{escapes[0]}))"
    units = run.encode("utf-16-be", errors="surrogatepass").hex()
    escapes += [f"x{ord(run):02x}", f"U{ord(run):08x}"]
    escapes += [r"\\*+".join(f"x{octet:02x}" for octet in octets)]
    escapes += [r"\\*+".join(f"u{units[at : at + 4]}" for at in range(0, len(units), 4))]  # JSON's pairs
    escapes += [_SHORT_ESCAPES[run]] if run in _SHORT_ESCAPES else []
    indent = "[ |]*" if run.splitlines() == [""] else ""  # tracebacks of groups indent all lines
    return rf"(?:(?<!\\)\\++)?+(?:{re.escape(run)}{indent}|(?i:{'|'.join(escapes)}))"


def escape(text: str) -> str:
    """`text` on one line: what is not printable, changes of direction too, as backslash escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Formatter(logging.Formatter):
    """One line a record; a traceback follows, each of its lines indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """As the base class does, but what another formatter left in the record is not used."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        lines = [_line(self.formatMessage(record))]
        if record.exc_info and record.exc_info[0]:
            lines += _trace(self.formatException(record.exc_info))
        if record.stack_info:
            lines += _trace(record.stack_info)
        return "\n".join(lines)


def _line(text: str) -> str:
    line = escape(scrub(text))
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…"


def _trace(text: str) -> list[str]:
    lines = scrub(text).splitlines()
    if len(lines) > MAX_TRACE_LINES:
        half = MAX_TRACE_LINES // 2
        lines = [*lines[:half], f"({len(lines) - 2 * half} lines left out)", *lines[-half:]]
    return [f"    {_line(line)}" for line in lines]


class _Rotated(logging.FileHandler):
    """For this user's eyes only. A full disk or a vanished folder costs log lines, never the service.

    (`logging.handlers` has one too, but it imports sockets and pickles into every command.)
    """

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", errors="backslashreplace", opener=_open_private)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, to a new file where this one is full."""
        try:
            if self.stream and self.stream.tell() >= MAX_BYTES:
                self._rotate()
            super().emit(record)
        except OSError:  # of opening: what `write` raises is handled below
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  logging's
        """Have the file opened anew for the next record: this one may have failed for good."""
        with suppress(OSError):
            self._close_stream()

    def _rotate(self) -> None:
        self._close_stream()
        for age in range(KEPT_FILES, 0, -1):
            younger = Path(f"{self.baseFilename}.{age - 1}" if age > 1 else self.baseFilename)
            with suppress(FileNotFoundError):
                younger.replace(f"{self.baseFilename}.{age}")

    def _close_stream(self) -> None:
        stream, self.stream = self.stream, None
        if stream:
            stream.close()


def _open_private(path: str, flags: int) -> int:
    if sys.platform != "win32":
        flags |= os.O_NONBLOCK  # a pipe that nobody reads is an error, not a wait
    return os.open(path, flags, 0o600)


def set_up(path: Path | None, level: str = "INFO") -> None:
    """Log to `path`, rotated at 2 MB with three older files kept; to stderr where it is None or cannot be."""
    logging.raiseExceptions = False
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    failure = None
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if path is not None:
        try:
            handler = _rotated(path)
        except OSError as error:
            failure = error
    handler.setFormatter(Formatter())
    root.addHandler(handler)
    if failure:
        root.warning("! cannot log to %s: %s", path, failure.strerror)


def _rotated(path: Path) -> logging.Handler:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handler = _Rotated(path)
    path.chmod(0o600)
    return handler
