"""How long to wait before something that failed is tried again."""


class Backoff:
    """Seconds that double from `first` to `last`."""

    __slots__ = ("_first", "_last", "_seconds")

    def __init__(self, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._seconds = 0.0

    def next(self) -> float:
        """It failed: the seconds to wait this time."""
        self._seconds = min(max(self._first, 2 * self._seconds), self._last)
        return self._seconds

    def reset(self) -> None:
        """It works: begin with `first` again."""
        self._seconds = 0.0
