"""EDNS options between us and an upstream: padding and cookies (RFC 7830, RFC 7873). None is a client's."""

from typing import NamedTuple

from sockslocal.resolver import wire

COOKIE, PADDING = 10, 12

BLOCK = 128
"""Octets of which a padded query is a multiple (RFC 8467 §4.1)."""

CLIENT_COOKIE = 8
"""Octets (RFC 7873 §4.1)."""

_OPTION = 4  # code and length
_BADCOOKIE = 23


class Opt(NamedTuple):
    """What is read of the OPT record of a response."""

    upper_rcode: int
    options: bytes

    def option(self, code: int) -> bytes | None:
        """The data of the first option of that code; None where there is none."""
        at = 0
        while at + _OPTION <= len(self.options):
            end = at + _OPTION + int.from_bytes(self.options[at + 2 : at + 4], "big")
            if int.from_bytes(self.options[at : at + 2], "big") == code and end <= len(self.options):
                return self.options[at + _OPTION : end]
            at = end
        return None


def added(message: bytes, question: bytes, code: int, data: bytes) -> bytes:
    """Our query `message` with one more option, where it has an OPT record, which is then its end."""
    opt = wire.HEADER + len(question)
    if len(message) <= opt:
        return message
    option = code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
    length = opt + 9
    rdlength = int.from_bytes(message[length : length + 2], "big") + len(option)
    return message[:length] + rdlength.to_bytes(2, "big") + message[length + 2 :] + option


def padded(message: bytes, question: bytes) -> bytes:
    """Our query `message` filled up with zeros, where it has an OPT record (RFC 8467 §4.1)."""
    return added(message, question, PADDING, bytes(-(len(message) + _OPTION) % BLOCK))


def opt_of(message: bytes, start: int) -> Opt | None:
    """The OPT record of a response whose records begin at `start`; None without a whole one."""
    rest = message[start:]
    try:
        for record in wire.records(rest, wire.record_count(message)):
            if record.rdtype == wire.OPT:
                fixed = record.start + record.owner_octets
                return Opt(rest[fixed + 4], rest[fixed + 10 : record.end])
    except wire.MalformedError:
        pass  # which `digest` tells
    return None


class Cookies:
    """What tells an upstream's answers by UDP from those of others, who do not see them (RFC 7873)."""

    def __init__(self, client: bytes) -> None:
        self._client = client
        self._server = b""

    def added(self, message: bytes, question: bytes) -> bytes:
        """The query with our cookie and the one it gave us; one without OPT leaves nothing to expect."""
        if len(message) <= wire.HEADER + len(question):
            self._server = b""
        return added(message, question, COOKIE, self._client + self._server)

    def accepts(self, message: bytes, start: int) -> bool:
        """Whether a response has our cookie, or none and never had (RFC 7873 §5.3)."""
        opt = opt_of(message, start)
        cookie = opt.option(COOKIE) if opt else None
        if cookie is None:
            return not self._server
        if cookie[:CLIENT_COOKIE] != self._client:
            return False
        if 16 <= len(cookie) <= 40:
            self._server = cookie[CLIENT_COOKIE:]
        return True


def is_bad_cookie(message: bytes, start: int) -> bool:
    """Whether a response says that it wants another cookie: the one in it (RFC 7873 §5.2.3)."""
    if wire.rcode(message) != _BADCOOKIE & 15:
        return False
    opt = opt_of(message, start)
    return opt is not None and opt.upper_rcode == _BADCOOKIE >> 4
