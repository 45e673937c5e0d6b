"""One stream of octets in the pieces that a network may make of it."""

from collections.abc import Iterable
from itertools import pairwise


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` cut at `places`, each an offset into it; pieces may be empty."""
    edges = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def splits(data: bytes) -> list[list[bytes]]:
    """`data` whole, octet by octet, and cut in two at each place."""
    octets = cut(data, range(1, len(data)))
    return [[data], octets, *(cut(data, [place]) for place in range(1, len(data)))]
