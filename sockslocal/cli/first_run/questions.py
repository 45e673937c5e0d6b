"""Asking a person at the terminal: every question has what Enter means, and is asked until it is answered."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from sockslocal.cli.screen import ASCII, UNICODE, Marks
from sockslocal.cli.terminal import Span, Style, has_unicode, say, write

T = TypeVar("T")

_INDENT = "  "


class WrongAnswer(ValueError):  # noqa: N818  it is what was answered
    """An answer that will not do; its text is the sentence that says why."""


def use_line_editing() -> None:
    """Have arrow keys move in what is being typed, as Windows's console does by itself."""
    if sys.platform != "win32":
        with contextlib.suppress(ImportError):  # some builds of Python have none
            import readline

            readline.set_auto_history(False)  # what was typed for one question is no answer to the next


def ask(question: str, check: Callable[[str], T], proposal: str = "") -> T:
    """What `check` makes of the answer, which Enter lets be the `proposal`; it raises WrongAnswer.

    The end of the input is as good as Ctrl-C.
    """
    shown = f" [{proposal}]" if proposal else ""
    while True:
        try:
            text = input(f"{_INDENT}{question}{shown}: ").strip()
        except EOFError:
            raise KeyboardInterrupt from None
        except UnicodeDecodeError:
            bad("that is not text in this terminal's encoding")
            continue
        try:
            return check(text or proposal)
        except WrongAnswer as wrong:
            bad(str(wrong))


def confirm(question: str, *, proposal: bool) -> bool:
    """Yes or no."""
    return choose(question, ("yes", "no"), "yes" if proposal else "no") == "yes"


def choose(question: str, choices: Sequence[str], proposal: str) -> str:
    """One of `choices`, of which the first letters will do."""

    def check(text: str) -> str:
        for choice in choices:
            if choice.startswith(text.lower()):
                return choice
        raise WrongAnswer(f"answer with {', '.join(choices[:-1])} or {choices[-1]}; the first letter will do")

    return ask(f"{question} ({'/'.join(choices)})", check, proposal)


def heading(text: str) -> None:
    """What the next questions are about."""
    say("")
    say(text, "strong")


def tell(text: str, style: Style = "plain") -> None:
    """A sentence between the questions."""
    say(f"{_INDENT}{text}", style)


def good(text: str) -> None:
    """What was tried and works."""
    _marked(marks().good, text, "good")


def bad(text: str) -> None:
    """What will not do."""
    _marked(marks().bad, text, "bad")


def marks() -> Marks:
    """The signs that this terminal can show."""
    return UNICODE if has_unicode(sys.stderr) else ASCII


def _marked(mark: str, text: str, style: Style) -> None:
    write(sys.stderr, [(Span(f"{_INDENT}{mark} ", style), Span(text))])
