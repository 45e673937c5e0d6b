"""Hosts files (hosts(5)): addresses of names, and names of addresses."""

import re
from collections.abc import Generator
from io import BytesIO
from ipaddress import ip_address

from sockslocal.address import AddressError, normalise_host
from sockslocal.resolver.local_answers import Addresses, Pointer, Treatment
from sockslocal.resolver.names import BYTE_ORDER_MARK, reverse, to_wire

SLICE = 50
"""Names and lines between two yields: some 0.5 ms of work."""

MAX_LINE = 2048
"""Octets; what is longer is no line of such a file."""

MAX_NAMES = 50_000
"""Of all files together, and as many addresses: some 12 MB. A list of names to block has its own place."""

MAX_ADDRESSES = 64
"""Of one name."""

SOURCE = "a hosts file"

_LOCALHOST = re.compile(r"(?:.*\.)?localhost\.?", re.IGNORECASE)


class Hosts:
    """What all hosts files say; `wrong` lines say nothing, and nothing more does where it is `full`.

    It holds octets alone, for thousands of objects would cost the collector time; an answer is made of them
    when it is asked for.
    """

    def __init__(self) -> None:
        self.wrong = 0
        self.full = False
        self._addresses: dict[bytes, bytes] = {}
        self._names: dict[bytes, bytes] = {}
        self._shared: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def find(self, name: bytes) -> Treatment | None:
        """What is done with `name`; None where nothing is said of it."""
        addresses = self._addresses.get(name)
        if addresses is not None:
            return Addresses(_parted(addresses), SOURCE)
        target = self._names.get(name)
        return Pointer(target, SOURCE) if target is not None else None

    def read(self, content: bytes) -> Generator[None, None, None]:
        """Take in a file; yields after every few names. localhost stays what it is (RFC 6761 §6.3)."""
        done = 0
        for line in BytesIO(content.removeprefix(BYTE_ORDER_MARK)):
            fields = line.partition(b"#")[0].split() if len(line) <= MAX_LINE else [b""]
            if fields:
                yield from self._read_line(fields)
            done += 1 + len(fields)
            if done > SLICE:
                done = 0
                yield
            if self.full:
                return

    def _read_line(self, fields: list[bytes]) -> Generator[None, None, None]:
        if b"%" in fields[0]:  # a zone is of this machine's interfaces, and not in the DNS
            return
        try:
            address, *texts = (field.decode("ascii") for field in fields)
            packed, pointer = ip_address(address).packed, reverse(address)
            known: list[bytes] = []
            for number, text in enumerate(texts, start=1):
                if not _LOCALHOST.fullmatch(text):
                    known.append(to_wire(normalise_host(text)))
                if not number % SLICE:
                    yield
        except (AddressError, ValueError):
            self.wrong += 1
            return
        for name in known:
            self._add(name, packed)
        if known:
            self._names.setdefault(pointer, known[0])

    def _add(self, name: bytes, packed: bytes) -> None:
        addresses = self._addresses.get(name, b"")
        if not addresses and len(self._addresses) >= MAX_NAMES:
            self.full = True
            return
        known = _parted(addresses)
        if packed not in known and len(known) < MAX_ADDRESSES:
            longer = addresses + bytes((len(packed),)) + packed
            self._addresses[name] = self._shared.setdefault(longer, longer)


def _parted(addresses: bytes) -> tuple[bytes, ...]:
    """The addresses that stand there one after the other, each behind its length."""
    found: list[bytes] = []
    at = 0
    while at < len(addresses):
        end = at + 1 + addresses[at]
        found.append(addresses[at + 1 : end])
        at = end
    return tuple(found)
