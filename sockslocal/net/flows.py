"""Which UDP flows there are, in the order of their last use; bounded."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

ACTIVE_S = 10.0
"""A flow used within these seconds is never evicted for a new one, however many new ones come."""


class Idling(Protocol):
    """What the table needs of a flow: after how many seconds without use it ends."""

    @property
    def idle_s(self) -> float: ...


F = TypeVar("F", bound=Idling)


class FlowTable(Generic[F]):
    """At most `limit` flows; times are seconds of one clock that never goes back."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._last_used: OrderedDict[F, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last_used)

    def __contains__(self, flow: F) -> bool:
        return flow in self._last_used

    def __iter__(self) -> Iterator[F]:
        return iter(list(self._last_used))

    def room(self, now: float) -> bool | F:
        """Whether a new flow has room; or the flow to evict for it, the one that was idle longest."""
        if len(self._last_used) < self._limit:
            return True
        oldest, last_used = next(iter(self._last_used.items()))
        return oldest if now - last_used >= ACTIVE_S else False

    def touch(self, flow: F, now: float) -> None:
        """`flow` is used now; a new one is added."""
        self._last_used[flow] = now
        self._last_used.move_to_end(flow)

    def discard(self, flow: F) -> None:
        self._last_used.pop(flow, None)

    def idle(self, now: float) -> list[F]:
        """The flows whose idle time is over."""
        return [flow for flow, last_used in self._last_used.items() if now - last_used >= flow.idle_s]
