"""What the garbage collector has to look through, kept small.

CPython counts allocations less deallocations. While as many queries end as begin the count stays where it is,
and all that was made meanwhile, by the hundred thousand, is looked through at once some time: that stalls
everything for a tenth of a second.
"""

import gc

QUERIES = 16
"""After so many have begun their objects, some 4,000, are looked through: that takes 0.2 ms."""


class Nursery:
    """Counts what begins."""

    def __init__(self) -> None:
        self._begun = 0

    def grew(self, queries: int) -> None:
        """So many queries have begun."""
        self._begun += queries
        if self._begun >= QUERIES:
            self._begun = 0
            gc.collect(0)
