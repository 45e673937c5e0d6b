"""argparse, with errors of ours and commands that are imported only when they are run."""

import argparse
import shutil
from typing import Any, Literal, NoReturn

from sockslocal.errors import SockslocalError
from sockslocal.quoting import quote

Names = Literal["forwards", "switches", "servers"]
"""What the configuration names; the switches are the forwards and the resolver."""


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        width = shutil.get_terminal_size().columns - 2
        super().__init__(prog, max_help_position=30, width=min(width, 98))


class Parser(argparse.ArgumentParser):
    """Raises instead of exiting, and knows what may have been meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, **options})
        self._positionals.title = "arguments"
        self.names: dict[str, Names] = {}
        """Which arguments are names of the configuration's, for shells to complete."""

    def add_name(self, flag: str, names: Names, **options: Any) -> None:
        """Add an argument that is one of `names`."""
        self.names[self.add_argument(flag, **options).dest] = names

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse's own; what it does not know is told by the command that it was given to."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        raise SockslocalError.of("usage", reason=message, remedy=f"{self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's own, with the nearest choice in place of all."""
        choices = action.choices
        if choices is None or value in choices:
            return
        import difflib

        known = [str(choice) for choice in choices if not str(choice).startswith("_")]
        near = difflib.get_close_matches(str(value), known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise argparse.ArgumentError(None, f"there is no {_called(action)} {quote(str(value))}; {hint}")


def _called(action: argparse.Action) -> str:
    name = str(action.metavar or "")
    return name.lower() if name.isalpha() else action.dest


class Branch:
    """A parser, and the commands below it.

    Each names the function that does it as `module:function` within this package.
    """

    def __init__(self, parser: Parser) -> None:
        self._children = parser.add_subparsers(
            title="commands", metavar="COMMAND", required=True, parser_class=Parser
        )

    def command(self, name: str, does: str, text: str, examples: str = "") -> Parser:
        """A command done by the function that `does` names."""
        parser = self._children.add_parser(
            name, help=text, description=_sentence(text), epilog=_examples(examples)
        )
        return self._does(parser, does)

    def hidden(self, name: str, does: str) -> Parser:
        """A command for programs, whose name begins with `_` and is told to nobody."""
        return self._does(self._children.add_parser(name), does)

    def _does(self, parser: Parser, does: str) -> Parser:
        parser.add_argument("--config", metavar="PATH", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        parser.set_defaults(command=does)
        return parser

    def branch(self, name: str, text: str, examples: str = "") -> "Branch":
        """A command that has commands of its own."""
        parser = self._children.add_parser(
            name, help=text, description=_sentence(text), epilog=_examples(examples)
        )
        return Branch(parser)


def json_option(parser: Parser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _examples(examples: str) -> str | None:
    return f"examples:\n{examples}" if examples else None


def seconds(text: str) -> float:
    """A duration as in the configuration, or a plain number of seconds."""
    from sockslocal.config.values import parse_duration

    duration = parse_duration(text)
    if duration is None:
        duration = parse_duration(f"{text}s")
    if duration is None:
        raise argparse.ArgumentTypeError(f"{quote(text)} is not a duration like 500ms, 5s or 2m")
    return duration


def number(text: str) -> int:
    """A count, from 0 on."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{quote(text)} is not a number like 100")
    return int(text)
