"""Everything that can be wrong, in one registry.

The CLI, the status, the tray, the dashboard, `doctor` and notifications all show a `Problem` made from it, so
the same trouble has the same name and the same remedy everywhere.
"""

import string
from typing import Any

import msgspec

from sockslocal.log import escape
from sockslocal.problem_kinds import REGISTRY, ExitCode, Kind, Severity
from sockslocal.quoting import quote, quote_name

__all__ = ["REGISTRY", "ExitCode", "Kind", "Problem", "Severity", "is_of_the_way", "problem"]


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: a stable code, a headline, what happened, and what mends it.

    `remedy` is a command where one exists, else a sentence.
    """

    code: str
    title: str
    text: str
    remedy: str


_OF_THE_WAY = ("server-", "auth-", "needs-unlock", "password-", "udp-", "tunnel-off")


def is_of_the_way(trouble: Problem) -> bool:
    """Whether it is the servers' and ends with it that one is up; else it is, say, the target's."""
    return trouble.code.startswith(_OF_THE_WAY) and trouble.code != "udp-remote-invalid"


_QUOTINGS = {"q": quote, "n": quote_name}


class _Formatter(string.Formatter):
    """As `str.format`, but whatever is filled in stays on its line.

    `{name!q}` is put in quotes, less what stands before an `@`, and the name of a user, `{name!n}`, as it is.
    """

    def convert_field(self, value: object, conversion: Any) -> object:
        quoting = _QUOTINGS.get(conversion)
        return quoting(str(value)) if quoting else super().convert_field(value, conversion)

    def format_field(self, value: object, format_spec: str) -> str:
        return escape(super().format_field(value, format_spec))


_fill = _Formatter().format


def problem(code: str, **details: object) -> Problem:
    """The problem `code` with its templates filled in from `details`."""
    kind = REGISTRY[code]
    return Problem(code, kind.title, _fill(kind.text, **details), _fill(kind.remedy, **details))
