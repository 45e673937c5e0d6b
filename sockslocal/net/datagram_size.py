"""The search for the largest datagram that comes back whole."""

LARGEST = 65_497
"""Octets of payload that fit behind the shortest header: 65,507 (IPv4) less 10 (RFC 1928 §7)."""

_COARSE = 4
_FINE = 64


class SizeSearch:
    """Says which size to try next, and is told what came of it.

    Where datagrams are cut, the cut tells the limit, which is then found to the octet; where they are lost,
    each loss costs its sender a wait, so that within a 64th it is near enough.
    """

    def __init__(self, passed: int) -> None:
        self.passed = passed
        """The largest so far that came back whole."""
        self._failed = LARGEST + 1
        self._next = LARGEST
        self._hinted = False

    def size(self) -> int | None:
        """What to try next; None once it is known well enough."""
        return self._next if self.passed < self._next < self._failed else None

    def came_back(self, octets: int) -> None:
        """What was tried came back, `octets` long."""
        if octets < self._next:
            self._failed = self._next
            self._hinted = octets > self.passed
            self._next = octets if self._hinted else self._between()
        else:
            self.passed = self._next
            self._next = self.passed + 1 if self._hinted else self._between()
            self._hinted = False

    def lost(self) -> None:
        """What was tried did not come back."""
        self._failed = self._next
        self._hinted = False
        self._next = self._between()

    def _between(self) -> int:
        """A size to halve the rest; at first the rest of its magnitude."""
        low, high = self.passed, self._failed
        if high - low <= low // _FINE:
            return low
        return int((low * high) ** 0.5) if high > _COARSE * low else (low + high) // 2
