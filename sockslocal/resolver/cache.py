"""Answers kept for as long as their TTLs say, in a bounded number of octets.

Time is given with each call, in whole seconds of any steady clock. An answer is aged by the seconds that have
begun since it came, so that no TTL is ever served above what is left of it.

What is asked most is found without taking a message apart: the question's octets are the key, and a reply is
five slices joined. To find the end of the question its first zero octet will do. Where a label holds one that
is wrong, but then the octets up to there are no key either: equal octets are read equally, and every key is a
whole question.
"""

from collections import OrderedDict

import msgspec

from sockslocal.resolver.answer import Answer
from sockslocal.resolver.wire import (
    HEADER,
    PLAIN,
    STREAM_LIMIT,
    MalformedError,
    Query,
    known_profile,
)

MAX_BYTES = 16 << 20
"""About 15,000 answers."""

ENTRY_OVERHEAD = 850
"""Octets of an entry besides key, bodies and TTLs, as tracemalloc counts them on 64-bit CPython."""

TTL_OVERHEAD = 92
"""Octets of one of `Answer.ttls`: a tuple, its place, and an offset too large to be shared."""

MAX_FAILURES = 4096
FAILURE_S = 1
"""The first failure is remembered this long, each further one twice as long (RFC 9520 §3.2: 1 s to 5 min)."""

MAX_FAILURE_S = 32


class Entry(msgspec.Struct, gc=False):
    """An answer with its age; the reply of this second is kept, as what is popular is asked often in it."""

    answer: Answer
    stored: int
    expires: int
    cost: int
    body: bytes
    age: int = 0
    used: bool = False
    headers: dict[int, bytes] = {}

    def grow(self, age: int) -> bytes:
        """The body at another `age`."""
        self.age = age
        self.body = self.answer.aged(age)
        return self.body

    def header(self, variant: int) -> bytes:
        """The header's octets 2 to 11 for a query of that variant."""
        header = self.headers[variant] = self.answer.header(variant)
        return header


class _Failure(msgspec.Struct, gc=False):
    """A question that could not be answered lately; kept past its end, so that the next one counts on."""

    answer: Answer
    until: int
    seconds: int


class Cache:
    """Least lately used goes first, by second chance: a hit costs no more than setting a mark."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._failures: OrderedDict[bytes, _Failure] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def hit(self, message: bytes, now: int, *, stream: bool) -> bytes | None:
        """The whole reply to the query `message`, where it is a plain one and its answer is here."""
        if len(message) > PLAIN or (end := message.find(0, HEADER) + 5) < HEADER + 5:
            return None
        try:
            profile = known_profile(message[2:HEADER], message[end:])
        except MalformedError:
            return None
        suffix, variant, limit, opt = profile
        question = message[HEADER:end]
        entry = self._entries.get(question + suffix)
        if entry is None:
            entry = self._entries.get(question[:-4].lower() + question[-4:] + suffix)
            if entry is None:
                return None
        if now >= entry.expires:
            return None
        age = now - entry.stored
        body = entry.body if age == entry.age else entry.grow(age)
        if end + len(body) + len(opt) > (STREAM_LIMIT if stream else limit):
            return None
        entry.used = True
        header = entry.headers.get(variant) or entry.header(variant)
        return b"".join((message[:2], header, question, body, opt))

    def find(self, query: Query, now: int) -> tuple[Answer, int] | None:
        """The answer to `query` and its age in seconds; that the name does not exist answers every type."""
        entry = self._live(query.key, now)
        if entry is None:
            entry = self._live(query.name_key, now)
            if entry is None:
                return None
            self._insert(query.key, entry.answer, entry.stored, entry.expires)
        entry.used = True
        return entry.answer, now - entry.stored

    def failed(self, query: Query, now: int) -> Answer | None:
        """The failure that `query` met a short while ago."""
        failure = self._failures.get(query.key)
        return failure.answer if failure is not None and now < failure.until else None

    def store(self, query: Query, answer: Answer, now: int) -> None:
        """Keep `answer` for its lifetime."""
        if answer.lifetime <= 0:
            return
        self._failures.pop(query.key, None)
        expires = now + answer.lifetime
        self._insert(query.key, answer, now, expires)
        if answer.denies_name:
            self._insert(query.name_key, answer, now, expires)

    def store_failure(self, query: Query, answer: Answer, now: int) -> None:
        """Remember that `query` fails; the oldest of too many failures is forgotten."""
        known = self._failures.pop(query.key, None)
        seconds = FAILURE_S
        if known is not None and now < known.until + MAX_FAILURE_S:
            seconds = min(known.seconds * 2, MAX_FAILURE_S)
        until = now + seconds + 1  # of the second that has begun nothing may be left
        self._failures[query.key] = _Failure(answer, until, seconds)
        if len(self._failures) > MAX_FAILURES:
            self._failures.popitem(last=False)

    def flush(self) -> int:
        """Forget everything; gives how many answers that were."""
        count = len(self._entries)
        self._entries.clear()
        self._failures.clear()
        self.bytes = 0
        return count

    def _live(self, key: bytes, now: int) -> Entry | None:
        entry = self._entries.get(key)
        return entry if entry is not None and now < entry.expires else None

    def _insert(self, key: bytes, answer: Answer, stored: int, expires: int) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old.cost
        bodies = 2 * len(answer.body)  # as it came, and as it is in this second
        cost = len(key) + bodies + TTL_OVERHEAD * len(answer.ttls) + ENTRY_OVERHEAD
        self._entries[key] = Entry(answer, stored, expires, cost, answer.body)
        self.bytes += cost
        while self.bytes > self._max_bytes:
            self._evict()

    def _evict(self) -> None:
        key, entry = self._entries.popitem(last=False)
        if entry.used:
            entry.used = False
            self._entries[key] = entry
        else:
            self.bytes -= entry.cost
