"""Hosts files (hosts(5)): addresses of names, and names of addresses."""

import re
from collections.abc import Generator, Iterable, Iterator
from ipaddress import ip_address

from sockslocal.address import AddressError, normalise_host
from sockslocal.resolver.local_answers import Addresses, Pointer, Treatment
from sockslocal.resolver.names import reverse, to_wire

SLICE = 50
"""Lines between two yields: some 0.5 ms of work."""

MAX_ADDRESSES = 64
"""Of one name."""

SOURCE = "a hosts file"

_LOCALHOST = re.compile(r"(?:.*\.)?localhost\.?", re.IGNORECASE)


class Hosts:
    """What all hosts files say; `wrong` lines say nothing."""

    def __init__(self) -> None:
        self.wrong = 0
        self._addresses: dict[bytes, dict[bytes, None]] = {}
        self._names: dict[bytes, bytes] = {}

    def read(self, content: bytes) -> Generator[None, None, None]:
        """Take in a file; yields after every few lines. localhost stays what it is (RFC 6761 §6.3)."""
        for number, line in enumerate(content.decode("latin-1").split("\n"), start=1):
            if fields := line.partition("#")[0].split():
                self._read_line(fields[0], fields[1:])
            if not number % SLICE:
                yield

    def treatments(self) -> Generator[None, None, dict[bytes, Treatment]]:
        """What is done with each name; yields after every few."""
        found: dict[bytes, Treatment] = {
            address: Pointer(name, SOURCE) for address, name in self._names.items()
        }
        yield
        for number, (name, addresses) in enumerate(self._addresses.items(), start=1):
            found[name] = Addresses(tuple(addresses), SOURCE)
            if not number % SLICE:
                yield
        return found

    def _read_line(self, address: str, names: list[str]) -> None:
        if "%" in address:  # a zone is of this machine's interfaces, and not in the DNS
            return
        try:
            if not all(name.isascii() for name in names):
                raise AddressError  # noqa: TRY301  as all that is wrong
            packed, pointer = ip_address(address).packed, reverse(address)
            known = [to_wire(name) for name in _normalised(names)]
        except (AddressError, ValueError):
            self.wrong += 1
            return
        for name in known:
            addresses = self._addresses.setdefault(name, {})
            if len(addresses) < MAX_ADDRESSES:
                addresses[packed] = None
        if known:
            self._names.setdefault(pointer, known[0])


def _normalised(names: Iterable[str]) -> Iterator[str]:
    return (normalise_host(name) for name in names if not _LOCALHOST.fullmatch(name))
