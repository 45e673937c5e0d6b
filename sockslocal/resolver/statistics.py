"""What the resolver counts."""

from sockslocal.resolver.wire import Query

MAX_NAMES = 256
"""Failing names that are counted; a further one takes the place, and the count, of the least frequent."""


class Statistics:
    """Since the resolver was made."""

    def __init__(self) -> None:
        self.queries = 0
        self.hits = 0
        self.failed = 0
        self.stale = 0
        """Times that an answer was revived past its end; each then serves for a while."""
        self.prefetched = 0
        self._failures: dict[bytes, int] = {}

    def fail(self, query: Query) -> None:
        """One question could not be answered."""
        self.failed += 1
        name = query.name
        if name not in self._failures and len(self._failures) >= MAX_NAMES:
            least = min(self._failures, key=self._failures.__getitem__)
            self._failures[name] = self._failures.pop(least) + 1
        else:
            self._failures[name] = self._failures.get(name, 0) + 1

    def top_failures(self, count: int) -> list[tuple[bytes, int]]:
        """The names, in wire format, that failed most."""
        ranked = sorted(self._failures.items(), key=lambda item: item[1], reverse=True)
        return ranked[:count]
