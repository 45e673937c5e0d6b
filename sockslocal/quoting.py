"""How an error shows what it read: on one line, of bounded length, without what may be a password."""

import re
from collections.abc import Collection
from itertools import islice

from sockslocal.log import escape

MAX_SHOWN = 80
MAX_LISTED = 10

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def quote(text: str) -> str:
    """`text` in double quotes, cut after `MAX_SHOWN` characters, with what stands before an `@` hidden.

    A password typed into an address may hold any character, `@` and `/` too, so all before the last `@` goes.
    """
    return quote_name(hide_userinfo(text))


def quote_name(text: str) -> str:
    """As `quote`, but with nothing hidden: for the names of users, which may be e-mail addresses."""
    return f'"{escape(text)}"' if len(text) <= MAX_SHOWN else f'"{escape(text[:MAX_SHOWN])}…"'


def listed(names: Collection[str]) -> str:
    """The first `MAX_LISTED` names in quotes, and how many more there are."""
    first = ", ".join(quote(name) for name in islice(names, MAX_LISTED))
    more = len(names) - MAX_LISTED
    return f"{first} and {more} more" if more > 0 else first


def hide_userinfo(text: str) -> str:
    """`socks5://ana:pw@proxy:1080` as `socks5://•••@proxy:1080`; a path such as `unix:/run/a@b` as it is."""
    before, at, after = text.rpartition("@")
    if not at or text.startswith("unix:"):
        return text
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}•••@{after}"
