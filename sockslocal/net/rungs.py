"""The ways in which a server may carry datagrams, best first, and which of them is tried next."""

from collections.abc import Sequence
from enum import Enum
from typing import Literal

from sockslocal.config.model import ServerUdp
from sockslocal.net.profile import RelayRule
from sockslocal.status import UdpRung


class Rung(Enum):
    """One way; the first three are UDP ASSOCIATE (RFC 1928 §7), the others UDP over TCP."""

    GIVEN = "at the address that the reply names"
    SERVER = "at the server's own address"
    PORT = "with our real port in the request"
    UOT_V2 = "uot-v2"
    UOT_V1 = "uot-v1"
    HEV = "hev"
    GOST = "gost"

    @property
    def relay_rule(self) -> RelayRule | None:
        """What a profile calls it, among those of UDP ASSOCIATE."""
        return _RULES.get(self)

    @property
    def framing(self) -> str | None:
        """The name of its framing, None for a relay's datagrams."""
        return None if self in RELAYED else self.value

    @property
    def shown(self) -> UdpRung:
        """What the status calls it."""
        return _SHOWN[self]


RELAYED = (Rung.GIVEN, Rung.SERVER, Rung.PORT)
STREAMED = (Rung.UOT_V2, Rung.UOT_V1, Rung.HEV, Rung.GOST)

_SHOWN: dict[Rung, UdpRung] = {
    **dict.fromkeys(RELAYED, "associate"),
    Rung.UOT_V2: "uot-v2",
    Rung.UOT_V1: "uot-v1",
    Rung.HEV: "hev",
    Rung.GOST: "gost",
}

_RULES: dict[Rung, RelayRule] = {Rung.GIVEN: "given", Rung.SERVER: "server", Rung.PORT: "port"}

_CHOSEN: dict[ServerUdp, tuple[Rung, ...]] = {
    "auto": RELAYED + STREAMED,
    "associate": RELAYED,
    "uot": (Rung.UOT_V2, Rung.UOT_V1),
    "hev": (Rung.HEV,),
    "gost": (Rung.GOST,),
    "off": (),
}


def remembered(rung: UdpRung | None, rule: RelayRule | None) -> Rung | None:
    """The rung by which datagrams passed the last time, None where that is not known."""
    for candidate in Rung:
        if candidate.shown == rung and candidate.relay_rule in (rule, None):
            return candidate
    return None


def rungs_for(udp: ServerUdp, *, tls: bool) -> tuple[Rung, ...]:
    """What may be tried where the user chose `udp`. No datagram may leave the TLS, where there is one."""
    return tuple(rung for rung in _CHOSEN[udp] if rung in STREAMED or not tls)


Failure = Literal["refused", "silent"]
"""The server said no, or said yes and nothing came back."""


class Ladder:
    """Which rung carries, as far as is known; one server's."""

    def __init__(self, rungs: Sequence[Rung], first: Rung | None = None) -> None:
        """`first` is the one that worked the last time; it is tried before the others."""
        self._rungs = tuple(sorted(rungs, key=lambda rung: rung is not first))
        self._left = list(self._rungs)
        self.proved = False
        """Whether a datagram came back on the current rung."""

    @property
    def current(self) -> Rung | None:
        """The rung to use; None where all have failed."""
        return self._left[0] if self._left else None

    def prove(self, rung: Rung) -> bool:
        """A datagram came back on `rung`; gives whether that is news."""
        if self.proved and rung is self.current:
            return False
        self._left = [rung]
        self.proved = True
        return True

    def fail(self, rung: Rung, how: Failure) -> bool:
        """`rung` does not carry; gives whether another one is to be tried instead.

        A server that refuses an association does so however it is asked.
        """
        if rung is not self.current or self.proved:
            return self.current is not None
        alike = RELAYED if how == "refused" and rung in RELAYED else (rung,)
        self._left = [other for other in self._left if other not in alike]
        return bool(self._left)

    def restart(self) -> None:
        """Try all again, as the server may have changed; first what worked."""
        worked = self._left[0] if self.proved else None
        self._left = sorted(self._rungs, key=lambda rung: rung is not worked)
        self.proved = False
