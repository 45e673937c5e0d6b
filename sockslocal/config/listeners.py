"""No two forwards listen on one port, and no file asks for more listeners than a process can have."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from sockslocal.address import Endpoint, ListenAddress, UnixPath
from sockslocal.config.lines import Where
from sockslocal.config.table import Value
from sockslocal.errors import ConfigError

MAX_LISTENERS = 10_000
"""All forwards together; each listener is a descriptor."""

Protocol = Literal["tcp", "udp"]

_WILDCARDS = {"0.0.0.0": ".", "::": ":"}  # noqa: S104  compared with, never bound to
"""Each with what all that it covers contains. `::` covers no IPv4: sockets are bound with IPV6_V6ONLY."""

_SHIFTS = (10_000, 20_000, 30_000, -10_000, -20_000, -30_000)
"""How far from a port that is taken another is proposed."""


class _Claim(NamedTuple):
    protocol: Protocol
    address: ListenAddress
    value: Value
    enabled: bool


class Listeners:
    """What a file asks to listen on."""

    def __init__(self) -> None:
        self._claims: list[_Claim] = []

    def add(
        self, protocol: Protocol, addresses: Sequence[ListenAddress], value: Value, *, enabled: bool = True
    ) -> None:
        """Note that `value` asks for `addresses`. Raises ConfigError where these are too many.

        What is not enabled may ask for the same as another: that is how a user keeps two to choose from.
        """
        if len(self._claims) + len(addresses) > MAX_LISTENERS:
            text = f"with {value.called} there are more than {MAX_LISTENERS} ports to listen on"
            raise value.error(text, "use fewer or shorter ranges")
        self._claims += [_Claim(protocol, address, value, enabled) for address in addresses]

    def check(self) -> None:
        """Note each address that something else has already.

        What a command is about to change comes last, so that it is to blame.
        """
        taken: dict[tuple[str, str | int], dict[str, _Claim]] = {}
        blamed: set[Where] = set()
        for claim in sorted(self._claims, key=lambda claim: claim.value.table.is_edited):
            if not claim.enabled:
                continue
            if isinstance(claim.address, UnixPath):
                hosts, host = taken.setdefault(("unix", claim.address.path), {}), ""
            else:
                hosts, host = taken.setdefault((claim.protocol, claim.address.port), {}), claim.address.host
            holder = _overlapping(host, hosts)
            if holder is None:
                hosts[host] = claim
            elif claim.value.where not in blamed:
                blamed.add(claim.value.where)
                claim.value.table.source.note(self._conflict(claim, holder))

    def _conflict(self, claim: _Claim, holder: _Claim) -> ConfigError:
        subject, other = claim.value.table.subject, holder.value.table.subject
        if claim.value.table is holder.value.table and claim.address == holder.address:
            text = f"{subject} listens twice on {claim.address}"
        else:
            place = "" if claim.address == holder.address else f" on {holder.address}"
            line = claim.value.table.source.line(holder.value.where)
            text = f"{subject} cannot listen on {claim.address}: {other} (line {line}) listens there{place}"
        return claim.value.error(text, claim.value.remedy(self._proposal(claim)))

    def _proposal(self, claim: _Claim) -> str | None:
        """What `claim` could listen on instead, as far as this file goes."""
        if isinstance(claim.address, UnixPath):
            return f"{claim.address}.2"
        mine = [other.address for other in self._claims if other.value is claim.value]
        ports = [address.port for address in mine if isinstance(address, Endpoint)]
        used = {other.address.port for other in self._claims if isinstance(other.address, Endpoint)}
        for shift in _SHIFTS:
            low, high = min(ports) + shift, max(ports) + shift
            if low >= 1024 and high < 65536 and used.isdisjoint(range(low, high + 1)):
                first = Endpoint(claim.address.host, low)
                return str(first) if low == high else f"{first}-{high}"
        return None


def _overlapping(host: str, hosts: dict[str, _Claim]) -> _Claim | None:
    """The one of `hosts` that has `host`, or a wildcard over it, or is under it if it is a wildcard."""
    if host in hosts:
        return hosts[host]
    for wildcard, mark in _WILDCARDS.items():
        if mark in host and wildcard in hosts:
            return hosts[wildcard]
    mark = _WILDCARDS.get(host, "")
    return next((claim for other, claim in hosts.items() if mark and mark in other), None)
