"""What is known of a server beyond its configuration: found out by examining it, and by using it."""

from typing import Any, Literal, Self

import msgspec

from sockslocal.config.model import ServerConfig
from sockslocal.socks5.client import Pipelining
from sockslocal.status import UdpRung

Login = Literal["none", "password"]

RelayRule = Literal["given", "server", "port"]
"""With which UDP ASSOCIATE datagrams pass: sent where the reply says, if that can be; sent to the server's
own address; or asked for with the port that they come from.
"""

ForeignSource = Literal["no", "port", "address"]
"""Whether datagrams come back from another place than the relay they were sent to."""

Ipv6 = Literal["yes", "no-route", "unsupported", "fails"]
"""How a connection to an IPv6 target fares; `fails`: the server does not tell why."""

_UDP = (
    "rung",
    "relay_rule",
    "names_relay",
    "foreign_source",
    "closes_control",
    "names_remote",
    "largest_datagram",
    "udp_ipv6",
    "probe_answers",
)
_UNTRIED = ("bears_empty",)
"""What no examination finds out: what it would hurt is found out only where it is needed."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What one server does; None: not known."""

    methods: tuple[Login, ...] | None = None
    """The ways in that it takes from here."""
    split: bool | None = None
    """Whether it understands a message that comes in two segments."""
    semi_pipelined: bool | None = None
    """Whether it understands login and request in one segment."""
    pipelined: bool | None = None
    """Whether it understands the whole handshake in one segment."""
    optimistic: bool | None = None
    """Whether data that was sent along with the request reaches the target."""
    ipv6: Ipv6 | None = None
    rtt_ms: float | None = None
    """One round trip, without any of the server's work."""
    rung: UdpRung | None = None
    """How datagrams pass; `none` where none does."""
    relay_rule: RelayRule | None = None
    """Of UDP ASSOCIATE, where datagrams pass by it; so are the next three."""
    names_relay: bool | None = None
    """Whether the address that it names as its relay can be one; else it is the server's own."""
    foreign_source: ForeignSource | None = None
    closes_control: bool | None = None
    """Whether it closes the control connection of an association at once, and relays all the same."""
    names_remote: bool | None = None
    """Whether the header of what comes back names who sent it."""
    bears_empty: bool | None = None
    """Whether its relay lives on after a datagram without octets."""
    largest_datagram: int | None = None
    """Octets of the largest payload that came back whole, where that was looked for."""
    udp_ipv6: bool | None = None
    """Whether an answer came back from an IPv6 remote."""
    probe_answers: bool | None = None
    """Whether the DNS server `udp_probe` answers to datagrams."""
    tested_at: float | None = None
    """When it was examined, in seconds since 1970."""

    @property
    def pipelining(self) -> Pipelining:
        """How much of a handshake may leave at once."""
        if self.pipelined:
            return Pipelining.FULL
        return Pipelining.SEMI if self.semi_pipelined else Pipelining.NONE

    def replace(self, **facts: Any) -> Self:
        """This profile with some of its facts changed."""
        return msgspec.structs.replace(self, **facts)

    def over(self, older: "Profile") -> Self:
        """This profile of an examination, and of the `older` one what was not tried.

        That is all of datagrams where it says nothing of them.
        """
        untried = _UNTRIED if self.rung else _UNTRIED + _UDP
        return self.replace(**{fact: getattr(older, fact) for fact in untried})


def key_of(config: ServerConfig) -> str:
    """What tells servers apart whose profiles may differ: the address, who logs in, and TLS."""
    login = "" if config.username is None else f"{config.username}@"
    tls = "" if config.tls is None else f" tls:{config.tls.name}"
    return f"{login}{config.address}{tls}"
