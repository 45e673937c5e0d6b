"""An answer as it is kept: the octets after the question, and what makes a reply of them.

Compression pointers count from the start of the message, and the question before them always has the same
length, so the same octets serve every client that asks for the same name.
"""

from functools import lru_cache

import msgspec

from sockslocal.resolver.wire import (
    HEADER,
    NOERROR,
    NXDOMAIN,
    STREAM_LIMIT,
    YXDOMAIN,
    Profile,
    Query,
    extended_error,
    opt_record,
)

DEFINITIVE = frozenset({NOERROR, NXDOMAIN, YXDOMAIN})
"""Codes that answer the question; any other tells of a failure (RFC 9520 §2)."""

STALE, CACHED_ERROR, STALE_NXDOMAIN = 3, 13, 19
"""Codes of extended errors (RFC 8914 §4)."""

LOCAL = "local"
"""The `path` of an answer that nobody gave: rules, lists and files say it, and may say otherwise later."""

MAX_ERROR_TEXT = 200
"""Characters of an extended error: a reply over UDP has room for it."""

_QR, _TC, _RA, _AD, _CD = 0x80, 0x02, 0x80, 0x20, 0x10


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a question has been answered with.

    Thousands of them are kept, and refer to nothing that could refer to them: the collector need not look.
    """

    rcode: int
    authentic: bool = False
    """Whether the upstream vouched for it (AD)."""
    counts: tuple[int, ...] = (0, 0, 0)
    """Records in answer, authority and additional section."""
    body: bytes = b""
    """All after the question, without OPT."""
    ttls: tuple[tuple[int, int], ...] = ()
    """Offset in `body`, and original value, of each TTL."""
    lifetime: int = 0
    """Seconds it may be kept; 0: not at all."""
    denies_name: bool = False
    """Whether the question's own name does not exist, whatever the type (RFC 2308 §5)."""
    aliases: bytes = b""
    """The names that its CNAMEs lead to, in lower case, one after the other."""
    error: tuple[int, str] | None = None
    """Code and text of an extended error (RFC 8914): why it is a failure, or past its end."""
    transient: bool = False
    """Whether a failure is ours alone and tells nothing of the name, so that it is not kept (RFC 9520 §2)."""
    upstream: str = ""
    path: str = ""
    """How the upstream was asked: `udp`, `tcp`, `tls` or `https`; or `LOCAL`."""

    @property
    def definitive(self) -> bool:
        return self.rcode in DEFINITIVE

    @property
    def is_stale(self) -> bool:
        """Whether `stale` made it."""
        return self.error is not None and self.error[0] in (STALE, STALE_NXDOMAIN)

    def header(self, variant: int, *, truncated: bool = False) -> bytes:
        """Octets 2 to 11 of a reply to a query of that `Profile.variant`.

        AA is clear, as the answer is not ours; RA is set; AD only where it was asked for (RFC 6840 §5.8).
        """
        flags = bytes(
            (
                _QR | (_TC if truncated else 0) | variant & 1,
                _RA
                | (_AD if self.authentic and variant & 4 else 0)
                | (_CD if variant & 2 else 0)
                | self.rcode,
            )
        )
        answer, authority, additional = (0, 0, 0) if truncated else self.counts
        counts = (1, answer, authority, additional + (variant >> 3))
        return flags + b"".join(count.to_bytes(2, "big") for count in counts)

    def aged(self, seconds: int) -> bytes:
        """The body with every TTL `seconds` lower."""
        if not seconds:
            return self.body
        body = bytearray(self.body)
        for offset, ttl in self.ttls:
            body[offset : offset + 4] = (ttl - seconds).to_bytes(4, "big")
        return bytes(body)

    def opt(self, profile: Profile) -> bytes:
        """The OPT record of a reply, with the reason of a failure of ours in it."""
        if self.error is None or not profile.opt:
            return profile.opt
        return _reasoned_opt(self.error, dnssec_ok=profile.dnssec_ok)

    def reply(self, query: Query, *, stream: bool, age: int = 0) -> bytes:
        """The reply to `query`; over UDP an empty one with TC where it is more than the client takes."""
        limit = STREAM_LIMIT if stream else query.profile.limit
        room = limit - HEADER - len(query.question) - len(self.body)
        opt = self.opt(query.profile)
        if len(opt) > room:  # the answer matters more than the reason
            opt = query.profile.opt
        if len(opt) > room:
            header = self.header(query.profile.variant, truncated=True)
            return b"".join((query.id, header, query.question, opt))
        header = self.header(query.profile.variant)
        return b"".join((query.id, header, query.question, self.aged(age), opt))


@lru_cache(maxsize=64)
def _reasoned_opt(error: tuple[int, str], *, dnssec_ok: bool) -> bytes:
    """In an outage most replies have one of two reasons."""
    return opt_record(dnssec_ok=dnssec_ok, options=extended_error(*error))


def stale(answer: Answer, ttl: int) -> Answer:
    """`answer` past its end, to be served with `ttl` all the same (RFC 8767 §4).

    Nobody vouches for it any more, and who can read it is told (RFC 8914 §4.4, §4.20).
    """
    body = bytearray(answer.body)
    for offset, _ in answer.ttls:
        body[offset : offset + 4] = ttl.to_bytes(4, "big")
    code = STALE_NXDOMAIN if answer.rcode == NXDOMAIN else STALE
    error = (code, "the upstreams do not answer; this did until lately")
    return msgspec.structs.replace(answer, body=bytes(body), ttls=(), authentic=False, error=error)


def cached_failure(answer: Answer) -> Answer:
    """The failure `answer` when it is told again, without asking anybody (RFC 8914 §4.14)."""
    text = answer.error[1] if answer.error is not None else "it could not be answered a moment ago"
    return msgspec.structs.replace(answer, error=(CACHED_ERROR, text))


def failure(rcode: int, code: int, text: str, *, transient: bool = True) -> Answer:
    """Our own failure, with an extended error."""
    return Answer(rcode=rcode, error=(code, text[:MAX_ERROR_TEXT]), transient=transient)
