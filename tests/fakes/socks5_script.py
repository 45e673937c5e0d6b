"""What the fake SOCKS5 server does wrong, as data; the default does everything right."""

from dataclasses import dataclass, field
from enum import Enum, auto


class Stage(Enum):
    """Where in a connection a fault strikes: before the server's answer of that stage."""

    ACCEPT = auto()
    """Connected; nothing was read."""
    METHOD = auto()
    """The greeting was read."""
    LOGIN = auto()
    """User name and password were read."""
    REPLY = auto()
    """The request was read, and for CONNECT the target was connected to."""
    RELAY = auto()
    """The success reply was sent."""


class Act(Enum):
    """What happens there."""

    STALL = auto()
    """Nothing more is ever sent; what comes is read. At RELAY, nothing is relayed to the client."""
    DRIP = auto()
    """The answer, or what is relayed to the client, leaves one octet at a time, `interval` apart."""
    SAY = auto()
    """`text` in place of the answer, then nothing more."""
    CLOSE = auto()
    """FIN in place of the answer."""
    RESET = auto()
    """RST in place of the answer."""


class UdpFault(Enum):
    """What is wrong with the datagrams of an association, or of a stream that carries datagrams."""

    DROP = auto()
    """They pass to the target, and what it answers is not sent to the client."""
    OTHER_PORT = auto()
    """Answers come from another port than the relay's."""
    OTHER_ADDRESS = auto()
    """Answers come from 127.0.0.3."""
    TRUNCATED = auto()
    """Only the first five octets of an answer are sent, and on a stream they are its end."""
    GARBAGE = auto()
    """An address type that does not exist."""
    CONTROL_CLOSED = auto()
    """A datagram has the control connection closed, and the relay with it."""
    RELAY_DEAD = auto()
    """A datagram kills the relay; the control connection stays open."""
    POISON = auto()
    """The same by port 0, nothing as payload, a name that leads nowhere, and broadcast or multicast."""
    TOUCHY = auto()
    """RSV or FRAG that is not 0, or a header that is cut, has the control connection closed."""


class PortRule(Enum):
    """Whose datagrams are relayed, by the port that was named in UDP ASSOCIATE; others are swallowed."""

    ANY = auto()
    ZERO_OR_TRUE = auto()
    """The port of the first datagram, where it was named or zeros were."""
    TRUE = auto()
    """Only the port that was named: none, after zeros."""


class Named(Enum):
    """What the header of an answer names."""

    SOURCE = auto()
    """Who sent it."""
    REQUEST = auto()
    """What the client wrote for that target, a name too."""
    CLIENT = auto()
    """The client's own address."""


class StreamFormat(Enum):
    """The ways to carry datagrams over TCP."""

    UOT_V1 = auto()
    UOT_V2 = auto()
    HEV = auto()
    GOST = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpScript:
    """The faults of one association, or of one stream that carries datagrams."""

    fault: UdpFault | None = None
    after: int = 0
    """Datagrams from the client that are relayed well before `fault`."""
    reserved: bytes = b"\0\0"
    """RSV of the header, two octets; relays only."""
    fragment: int = 0
    """FRAG of the header; relays only."""
    named: Named = Named.SOURCE
    header_address: bytes | None = None
    """ATYP, address and port in the header, whatever `named` is."""
    port_rule: PortRule = PortRule.ZERO_OR_TRUE
    cut_above: int | None = None
    """Payloads that are longer lose what is behind so many octets, in both directions."""
    lost_above: int | None = None
    """Payloads that are longer are lost, in both directions."""
    delay: float = 0.0
    """Seconds by which answers come later."""
    idle: float | None = None
    """After so many seconds without a datagram from the client, the control connection is closed."""
    outlives: bool = False
    """The relay lives on when the control connection is closed, until the server stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The faults of one connection."""

    at: Stage | None = None
    act: Act = Act.STALL
    text: bytes = b""
    """For SAY."""
    interval: float = 1.0
    """For DRIP: seconds between two octets; 0 sends each in a segment of its own, without waiting."""
    after: int = 0
    """At RELAY: octets relayed to the client before the act."""
    method: int | None = None
    """The method chosen, whatever was offered."""
    status: int | None = None
    """The status of the login, whatever was given."""
    reply: int | None = None
    """The REP octet; anything but 0 and nothing is connected to."""
    early: bool = False
    """Success is replied before the target is connected to; where that fails, FIN follows."""
    bound: bytes | None = None
    """ATYP, address and port in the reply, as raw octets."""
    bound_host: str | None = None
    """The host in the reply to UDP ASSOCIATE, beside the true port; a name, which may be empty, or an IP."""
    relay_host: str | None = None
    """The IP at which relays are, where it is not the server's."""
    formats: frozenset[StreamFormat] = frozenset()
    """The ways to carry datagrams over TCP that the server speaks."""
    udp: UdpScript = field(default_factory=UdpScript)
