"""Answers kept for as long as their TTLs say, in a bounded number of octets.

Time is given with each call, in whole seconds of any steady clock. An answer is aged by the seconds that have
begun since it came, so that no TTL is ever served above what is left of it.

What is asked most is found without taking a message apart: the question's octets are the key, and a reply is
five slices joined. To find the end of the question its first zero octet will do. Where a label holds one that
is wrong, but then the octets up to there are no key either: equal octets are read equally, and every key is a
whole question, or longer than one. Only what has a reason to tell besides, an extended error, takes a little
longer.

Past its end an answer stays while there is room, and may be served once more where no upstream answers (RFC
8767): it is made a `revived` one, whose TTLs are all 30 s, and which is hit like any other for as long.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from sockslocal.resolver.answer import Answer, cached_failure, stale
from sockslocal.resolver.wire import (
    HEADER,
    PLAIN,
    STREAM_LIMIT,
    MalformedError,
    Query,
    known_profile,
)

ENTRY_OVERHEAD = 930
"""Octets of an entry besides key, bodies and TTLs, as tracemalloc counts them on 64-bit CPython."""

TTL_OVERHEAD = 92
"""Octets of one of `Answer.ttls`: a tuple, its place, and an offset too large to be shared."""

MAX_FAILURES = 4096
FAILURE_S = 1
"""The first failure is remembered this long, each further one twice as long (RFC 9520 §3.2: 1 s to 5 min)."""

MAX_FAILURE_S = 32

STALE_TTL = 30
"""Seconds that clients may keep a stale answer, and until its refresh is tried again (RFC 8767 §4, §5)."""

POPULAR = 2
"""Seconds of its life in which an answer was asked for before its last tenth, so that it is prefetched."""

NEVER = 1 << 62
NO_AGE = -1

Due = Callable[[Query], None]
"""Told of a question whose answer is popular and about to end; it is told again after `STALE_TTL`."""


class Entry(msgspec.Struct, gc=False):
    """An answer with its age; the reply of this second is kept, as what is popular is asked often in it.

    `seconds` are those of its life in which it was asked for; from `refresh` on it may be prefetched.
    `grown` is the age of `body`; `age` is the same, unless a reply needs more than that: then it is no age.
    """

    answer: Answer
    stored: int
    expires: int
    refresh: int
    cost: int
    body: bytes
    seconds: int = 0
    grown: int = 0
    age: int = 0
    used: bool = False
    headers: dict[int, bytes] = {}

    @property
    def ends(self) -> int:
        """When its TTLs end, though it may be revived for longer."""
        return self.stored + self.answer.lifetime

    def grow(self, age: int) -> bytes:
        """The body at another `age`."""
        if age != self.grown:
            self.grown = age
            self.seconds += 1
            self.body = self.answer.aged(age)
            if self.answer.error is None:
                self.age = age
        return self.body

    def header(self, variant: int) -> bytes:
        """The header's octets 2 to 11 for a query of that variant."""
        header = self.headers[variant] = self.answer.header(variant)
        return header


class Stale(NamedTuple):
    """An answer past its end, with TTLs of `STALE_TTL`; `again` where it was revived before."""

    answer: Answer
    again: bool


class _Failure(msgspec.Struct, gc=False):
    """A question that could not be answered lately; kept past its end, so that the next one counts on."""

    answer: Answer
    until: int
    seconds: int


class Cache:
    """Least lately used goes first, by second chance: a hit costs no more than setting a mark.

    Answers that ended at most `stale` seconds ago may be revived. `due` is told what should be prefetched.
    """

    def __init__(self, max_bytes: int, *, stale: int = 0, due: Due | None = None) -> None:
        self.bytes = 0
        self.due = due
        self._max_bytes = max_bytes
        self._stale = stale
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._failures: OrderedDict[bytes, _Failure] = OrderedDict()
        self._revived: set[bytes] = set()

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
        if age == entry.age:
            body = entry.body
        else:
            body = entry.grow(age)
            if now >= entry.refresh:
                self._refresh(entry, Query(message[:2], question, profile), now)
            opt = entry.answer.opt(profile)
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
        """Keep `answer`, which came at `now`, for its lifetime: in place of any other to `query`."""
        key, name_key = query.key, query.name_key
        self._failures.pop(key, None)
        self.remove(key)
        if answer.definitive and not answer.denies_name:
            self.remove(name_key)
        if answer.lifetime <= 0:
            return
        expires = now + answer.lifetime
        self._insert(key, answer, now, expires)
        if answer.denies_name:
            self._insert(name_key, answer, now, expires)

    def stale(self, query: Query, now: int) -> Stale | None:
        """What answered `query` until a while ago."""
        found = self._ended(query, now)
        if found is None:
            return None
        answer = found[1].answer
        return Stale(stale(answer, STALE_TTL), again=answer.is_stale)

    def revive(self, query: Query, now: int, seconds: int = STALE_TTL) -> None:
        """Have what is `stale` serve for so many `seconds` more, unless it has been refreshed."""
        found = self._ended(query, now)
        if found is not None:
            key, entry = found
            self._insert(key, stale(entry.answer, STALE_TTL), entry.stored, now + seconds)

    def forgive(self) -> None:
        """The upstreams can be asked again: no failure holds any more, and what was revived has ended."""
        self._failures.clear()
        for key in self._revived:
            entry = self._entries[key]
            entry.expires = entry.stored
            entry.answer = msgspec.structs.replace(entry.answer, error=None)
        self._revived.clear()

    def limit(self, max_bytes: int, *, stale: int) -> None:
        """Have these limits from now on."""
        self._max_bytes = max_bytes
        self._stale = stale
        self._shrink()

    def kept(self) -> list[tuple[bytes, Answer, int]]:
        """Each answer with its key, and the time of its end; those that matter most come last."""
        return [(key, entry.answer, entry.ends) for key, entry in self._entries.items()]

    def restore(self, query: Query, answer: Answer, stored: int, now: int) -> None:
        """Keep what came at `stored`, long before `now` maybe, unless something newer answers `query`."""
        expires = stored + answer.lifetime
        if query.key in self._entries or not answer.lifetime > 0:
            return
        if not stored <= now < expires + self._stale:
            return
        self._insert(query.key, answer, stored, expires)
        if answer.denies_name and query.name_key not in self._entries:
            self._insert(query.name_key, answer, stored, expires)

    def store_failure(self, query: Query, answer: Answer, now: int) -> None:
        """Remember that `query` fails; the oldest of too many failures is forgotten."""
        known = self._failures.pop(query.key, None)
        seconds = FAILURE_S
        if known is not None and now < known.until + MAX_FAILURE_S:
            seconds = min(known.seconds * 2, MAX_FAILURE_S)
        until = now + seconds + 1  # of the second that has begun nothing may be left
        self._failures[query.key] = _Failure(cached_failure(answer), until, seconds)
        if len(self._failures) > MAX_FAILURES:
            self._failures.popitem(last=False)

    def keys(self) -> list[bytes]:
        """The keys of all that is kept; each begins with a name."""
        return list(self._entries)

    def answer(self, key: bytes) -> Answer | None:
        """What is kept under `key`."""
        entry = self._entries.get(key)
        return entry.answer if entry is not None else None

    def remove(self, key: bytes) -> None:
        """Forget one answer, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.cost
            self._revived.discard(key)

    def flush(self) -> int:
        """Forget everything; gives how many answers that were."""
        count = len(self._entries)
        self._entries.clear()
        self._revived.clear()
        self._failures.clear()
        self.bytes = 0
        return count

    def _live(self, key: bytes, now: int) -> Entry | None:
        entry = self._entries.get(key)
        return entry if entry is not None and now < entry.expires else None

    def _ended(self, query: Query, now: int) -> tuple[bytes, Entry] | None:
        """The entry that answered `query`, and has ended no longer ago than may be served, with its key."""
        for key in (query.key, query.name_key):
            entry = self._entries.get(key)
            if entry is not None and entry.expires <= now < entry.ends + self._stale:
                return key, entry
        return None

    def _refresh(self, entry: Entry, query: Query, now: int) -> None:
        """It is about to end: where it is popular, say so."""
        if self.due is not None and entry.seconds > POPULAR:
            entry.refresh = now + STALE_TTL
            self.due(query)

    def _insert(self, key: bytes, answer: Answer, stored: int, expires: int) -> None:
        self.remove(key)
        bodies = 2 * len(answer.body)  # as it came, and as it is in this second
        texts = len(key) + len(answer.aliases) + bodies
        cost = texts + TTL_OVERHEAD * len(answer.ttls) + ENTRY_OVERHEAD
        last_tenth = NEVER if answer.is_stale else expires - answer.lifetime // 10
        entry = self._entries[key] = Entry(answer, stored, expires, last_tenth, cost, answer.body)
        if answer.error is not None:
            entry.age = NO_AGE
        if answer.is_stale:
            self._revived.add(key)
        self.bytes += cost
        self._shrink()

    def _shrink(self) -> None:
        while self.bytes > self._max_bytes:
            self._evict()

    def _evict(self) -> None:
        key, entry = self._entries.popitem(last=False)
        if entry.used:
            entry.used = False
            self._entries[key] = entry
        else:
            self.bytes -= entry.cost
            self._revived.discard(key)
