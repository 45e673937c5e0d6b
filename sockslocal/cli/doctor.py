"""`doctor`: every check, each with what mends what it finds."""

import sys
import textwrap
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from sockslocal import doctor
from sockslocal.cli.context import Context
from sockslocal.cli.propose import spelled
from sockslocal.cli.render import width_of_terminal
from sockslocal.cli.screen import count
from sockslocal.cli.terminal import Line, Span, Style, has_unicode, is_screen, line, print_json, say, write
from sockslocal.doctor import bundle
from sockslocal.doctor.report import Check, Section, Verdict, as_json, worst
from sockslocal.problems import ExitCode

_STYLES: dict[Verdict, Style] = {"good": "good", "unknown": "dim", "note": "warn", "bad": "bad"}
_UNICODE: dict[Verdict, str] = {"good": "✓", "unknown": "○", "note": "!", "bad": "✗"}
_ASCII: dict[Verdict, str] = {"good": "+", "unknown": "-", "note": "!", "bad": "x"}

_NARROWEST = 32
"""Columns in which a sentence can be read; with fewer it begins below its title."""


def show(arguments: Namespace, context: Context) -> int:
    """All checks, as they are made; exit code 1 where one fails."""
    scene = doctor.look(context.paths)
    marks = _UNICODE if has_unicode(sys.stdout) else _ASCII
    spell = partial(spelled, config=context.paths.config)
    examined = doctor.examine(scene, _progress())
    if arguments.json:
        sections = [*examined]
        print_json(as_json(sections))
    else:
        sections = [*_shown(examined, marks, spell)]
        write(sys.stdout, _summary(sections, width_of_terminal()))
    if arguments.bundle:
        bundle.write(Path(arguments.bundle), scene, sections)
        say(f"{arguments.bundle} is written: it names servers, users and targets, but holds no password")
    return ExitCode.FAILED if worst(section.verdict for section in sections) == "bad" else ExitCode.DONE


def _progress() -> Callable[[str], None]:
    """Tells what is being looked at, where somebody waits before a screen."""
    return (lambda text: say(text, "dim")) if is_screen(sys.stderr) else (lambda _text: None)


def _shown(
    sections: Iterable[Section], marks: dict[Verdict, str], spell: Callable[[str], str]
) -> Iterator[Section]:
    """The sections, each written as it passes."""
    for section in sections:
        write(sys.stdout, [*lines_of(section, width_of_terminal(), marks, spell), ()])
        sys.stdout.flush()
        yield section


def lines_of(
    section: Section,
    width: int,
    marks: dict[Verdict, str] = _UNICODE,
    spell: Callable[[str], str] = str,
) -> list[Line]:
    """A section as a person reads it, at most `width` columns wide where the words allow."""
    lines: list[Line] = [(_mark(section.verdict, marks), Span(f" {section.title}", "strong"))]
    title_width = max((len(check.title) for check in section.checks), default=0)
    for check in section.checks:
        lines += _check(check, title_width, width, marks, spell)
    return lines


def _check(
    check: Check, title_width: int, width: int, marks: dict[Verdict, str], spell: Callable[[str], str]
) -> list[Line]:
    head: Line = (Span("  "), _mark(check.verdict, marks), Span(f" {check.title.ljust(title_width)}  "))
    taken = sum(len(span.text) for span in head)
    beside = width - taken >= _NARROWEST
    indent = taken if beside else 6
    style: Style = "dim" if check.verdict in ("good", "unknown") else _STYLES[check.verdict]
    texts = [Span(part, style) for part in textwrap.wrap(check.text, max(width - indent, 1))]
    lines: list[Line] = [(*head, *texts[:1]) if beside else head]
    lines += [(Span(" " * indent), text) for text in texts[beside:]]
    return [*lines, *_remedy(spell(check.remedy), indent, width)]


def _remedy(remedy: str, indent: int, width: int) -> Iterator[Line]:
    """A command stays on one line, to be copied."""
    is_command = remedy.startswith("sockslocal ")
    parts = [remedy] if is_command else textwrap.wrap(remedy, max(width - indent - 2, 1))
    for number, part in enumerate(parts if remedy else ()):
        yield Span(" " * indent), Span("  " if number else "→ ", "dim"), Span(part, "strong")


def _mark(verdict: Verdict, marks: dict[Verdict, str]) -> Span:
    return Span(marks[verdict], _STYLES[verdict])


def _summary(sections: Sequence[Section], width: int) -> list[Line]:
    """The last lines are what a person sees first."""
    verdicts = [check.verdict for section in sections for check in section.checks]
    bad, notes = verdicts.count("bad"), verdicts.count("note")
    if not bad and not notes:
        return [line("All is well.", "good")]
    parts = [f"{count(bad, 'check', 'checks')} failed"] if bad else []
    parts += [f"{count(notes, 'thing', 'things')} to look at"] if notes else []
    titles = ", ".join(section.title for section in sections if section.verdict in ("note", "bad"))
    text = f"{', '.join(parts)}, with what to do about it above: {titles}."
    return [line(part, "bad" if bad else "warn") for part in textwrap.wrap(text, max(width, 1))]
