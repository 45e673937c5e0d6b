"""Millions of blocked names in 8 octets each, and the lines they come from.

A name is kept as 64 bits of its hash: with a million of them, one in 2·10¹³ names would be blocked by
mistake. `*.ads.example` stands for `ads.example` and all beneath it, any other name for itself alone. What is
excepted, with all beneath it, no list blocks, however exactly it names it: so AdGuard Home reads such lists.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from sockslocal.resolver.names import from_labels

MAX_LABELS = 16
"""Of a name in a list; of longer names only the end can be in one."""

_ANY = b"\1*"
_COMMENTS = (b"#", b"!", b"[")  # hosts files, AdBlock's lists, and the first line of the latter
_COMMENT_AFTER = re.compile(rb"[ \t]+#.*")
_ADDRESS = re.compile(rb"[0-9.]{7,15}|[0-9a-f:.]*:[0-9a-f:.]*(?:%\S*)?", re.IGNORECASE)
_LABEL = rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rb"%b(?:\.%b){0,%d}" % (_LABEL, _LABEL, MAX_LABELS - 1))
_MAX_TEXT = 253

_EXCEPTION = b"@@"
_RULE = re.compile(rb"(?:@@)?\|\|(?:\*\.)?([^/$^|]+)\^\|?(?:\$(.+))?")
"""A rule of AdBlock's that is for a whole domain, with its options."""

_HARMLESS = b"important"
"""An option that would have a rule win over exceptions, which nothing does here."""

_OF_DNS = frozenset(b"badfilter client ctag denyallow dnsrewrite dnstype".split())
"""Options of AdGuard Home's that change what a rule does for a resolver. Here there are none of them."""

_COSMETIC = re.compile(rb"#[@?$%]*#")
"""Before what a browser hides on a page."""

_OF_THE_MACHINE = frozenset(
    b"localhost localhost.localdomain local broadcasthost ip6-localhost ip6-loopback ip6-localnet"
    b" ip6-mcastprefix ip6-allnodes ip6-allrouters ip6-allhosts".split()
)
"""What hosts files begin with; nobody means to block them."""


class NotAName(ValueError):  # noqa: N818  what it is
    """A line that names nothing that could be blocked."""


class NotForDns(NotAName):
    """A rule that only a browser can follow: it sees pages and paths where a resolver sees names."""


def hashed(name: bytes) -> int:
    """64 bits that stand for a name in wire format."""
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")


def names_of(line: bytes) -> Iterator[bytes]:
    """The names that a line of a list blocks, or excepts, in wire format; raises NotAName, NotForDns.

    The line is of a hosts file (`0.0.0.0 ads.example`), a name, a wildcard (`*.ads.example`, `.ads.example`),
    or a rule of AdBlock's for a whole domain (`||ads.example^`, or `@@||good.example^` for an exception).
    """
    line = line.strip().lower()
    if not line or line.startswith(_COMMENTS):
        return
    if b"#" in line:
        line = _COMMENT_AFTER.sub(b"", line)
        if _COSMETIC.search(line):
            raise NotForDns
    if line.startswith((b"||", _EXCEPTION)):
        yield _ANY + _name(_domain(line))
        return
    fields = line.split()
    if len(fields) == 1:
        yield _blocked(fields[0])
    elif _ADDRESS.fullmatch(fields[0]):
        for field in fields[1:]:
            if field not in _OF_THE_MACHINE and not _ADDRESS.fullmatch(field):
                yield _name(field)
    else:
        raise NotAName


def is_exception(line: bytes) -> bool:
    """Whether the names of the line are those that no list blocks."""
    return line.lstrip().startswith(_EXCEPTION)


def _domain(rule: bytes) -> bytes:
    """The name that a rule of AdBlock's is for."""
    matched = _RULE.fullmatch(rule)
    if matched is None:
        raise NotForDns if b"/" in rule else NotAName
    name, options = matched.groups(b"")
    names = {option.partition(b"=")[0].removeprefix(b"~") for option in options.split(b",")}
    if names <= {b"", _HARMLESS}:
        return name
    raise NotAName if names & _OF_DNS else NotForDns


def _blocked(text: bytes) -> bytes:
    if b"$" in text:
        raise NotForDns
    if text.startswith((b"*.", b".")):
        return _ANY + _name(text.lstrip(b"*").lstrip(b"."))
    return _name(text)


def _name(text: bytes) -> bytes:
    text = text.removesuffix(b".")
    if len(text) > _MAX_TEXT or not _NAME.fullmatch(text) or _ADDRESS.fullmatch(text):
        raise NotAName
    return from_labels(text.split(b"."))


class BlockList:
    """Hashes of names, in ascending order, and of `exceptions` from them."""

    def __init__(self, hashes: Sequence[int] = (), exceptions: Sequence[int] = ()) -> None:
        self._hashes = hashes
        self._exceptions = exceptions

    def __len__(self) -> int:
        return len(self._hashes)

    def has(self, name: bytes) -> bool:
        """Whether just that name, in wire format, is in it."""
        return _holds(self._hashes, name)

    def has_beneath(self, suffix: bytes) -> bool:
        """Whether the name and all beneath it are in it."""
        return _holds(self._hashes, _ANY + suffix)

    def excepts(self, suffixes: Sequence[bytes]) -> bool:
        """Whether a name is not blocked, whatever else is said of it, by one of its `suffixes`."""
        if not self._exceptions:
            return False
        return any(_holds(self._exceptions, _ANY + suffix) for suffix in suffixes)


def _holds(hashes: Sequence[int], name: bytes) -> bool:
    wanted = hashed(name)
    at = bisect_left(hashes, wanted)
    return at < len(hashes) and hashes[at] == wanted
