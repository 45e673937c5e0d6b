"""The manual page, made from the tree of commands: `python -m sockslocal.cli.man > sockslocal.1` (man(7))."""

import argparse
import re
import sys
from collections.abc import Iterator

from sockslocal import __version__
from sockslocal.cli.tree import build
from sockslocal.problems import ExitCode

_FILES = (
    (
        "~/.config/sockslocal/config.toml",
        "The configuration, unless $SOCKSLOCAL_CONFIG or --config names another.",
    ),
    (
        "$XDG_RUNTIME_DIR/sockslocal/",
        "The control socket, unless $SOCKSLOCAL_RUNTIME_DIR names another folder.",
    ),
    (
        "~/.local/state/sockslocal/",
        "The log and what was learned, unless $SOCKSLOCAL_STATE_DIR names another folder.",
    ),
)

_MEANINGS = {
    ExitCode.DONE: "Done.",
    ExitCode.FAILED: "Failed.",
    ExitCode.USAGE: "Wrong usage.",
    ExitCode.NOT_RUNNING: "Not running.",
    ExitCode.CONFIG: "Something is wrong with the configuration.",
    ExitCode.CREDENTIALS: "Something is wrong with a password.",
    ExitCode.SERVER: "The server is unreachable, or refuses.",
    ExitCode.PERMISSION: "Not permitted.",
}


def page() -> str:
    """The source of the page."""
    return "".join(f"{line}\n" for line in _lines(build()))


def _lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f'.TH SOCKSLOCAL 1 "" "sockslocal {__version__}" "User Commands"'
    yield ".SH NAME"
    yield r"sockslocal \- make what stands behind a SOCKS5 server look local"
    yield ".SH SYNOPSIS"
    yield from (r".B sockslocal", r"[\fB\-\-config\fR \fIPATH\fR] \fICOMMAND\fR \&...")
    yield ".SH DESCRIPTION"
    yield _text(parser.description or "")
    yield ".SH OPTIONS"
    yield from _arguments(parser)
    yield ".SH COMMANDS"
    for words, command in _commands(parser, ()):
        yield from _command(words, command)
    yield ".SH EXIT STATUS"
    for code, meaning in _MEANINGS.items():
        yield from _item(str(int(code)), meaning)
    yield ".SH FILES"
    for path, meaning in _FILES:
        yield from _item(rf"\fI{_text(path)}\fR", meaning)


def _commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """All that do something and are no secret, in the order of the help."""
    for action in parser._actions:  # noqa: SLF001  argparse has no other way to walk a tree
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  as above
            for choice in action._choices_actions:  # noqa: SLF001  without the hidden ones
                yield from _commands(action.choices[choice.dest], (*words, choice.dest))
            return
    if words:
        yield words, parser


def _command(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f'.SS "{_text(" ".join(words))}"'
    usage = parser.format_usage().removeprefix("usage: ").split()
    called, given = " ".join(usage[: len(words) + 1]), " ".join(usage[len(words) + 1 :])
    yield from (".nh", rf"\fB{_text(called)}\fR {_text(given)}".rstrip())
    yield ".hy"
    yield ".PP"
    yield _text(parser.description or "")
    yield from _arguments(parser, but="help")
    if parser.epilog:
        yield from (".PP", "Examples:", ".PP", ".nf")
        yield from (_text(line) for line in parser.epilog.splitlines()[1:])
        yield ".fi"


def _arguments(parser: argparse.ArgumentParser, but: str = "") -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001  as above
        if action.help == argparse.SUPPRESS or action.dest == but:
            continue
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  as above
            continue
        value = rf" \fI{_text(str(action.metavar or action.dest))}\fR" if action.nargs != 0 else ""
        names = ", ".join(rf"\fB{_text(option)}\fR" for option in action.option_strings)
        yield from _item(f"{names}{value}".strip(), _sentence(action.help or ""))


def _item(tag: str, meaning: str) -> Iterator[str]:
    yield from (".TP", tag, _text(meaning))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _text(text: str) -> str:
    """What groff shows as `text`: its backslashes, minus signs and quotes too, and no line is a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("'", r"\(aq")
    escaped = re.sub(r"[^\x00-\x7f]", lambda match: rf"\[u{ord(match[0]):04X}]", escaped)
    return re.sub(r"^(?=\.)", r"\\&", escaped)


if __name__ == "__main__":
    sys.stdout.write(page())
