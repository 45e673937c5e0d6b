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
    """What is wrong with the datagrams that go back to the client."""

    DROP = auto()
    """They are not sent."""
    OTHER_PORT = auto()
    """They come from another port than the relay's."""
    OTHER_ADDRESS = auto()
    """They come from 127.0.0.3."""
    TRUNCATED = auto()
    """Only the first five octets are sent."""
    CONTROL_CLOSED = auto()
    """The first datagram has the control connection closed, and the relay with it."""
    RELAY_DEAD = auto()
    """The relay is gone after the first datagram; the control connection stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UdpScript:
    """The faults of one association."""

    fault: UdpFault | None = None
    reserved: bytes = b"\0\0"
    """RSV of the header, two octets."""
    fragment: int = 0
    """FRAG of the header."""
    header_address: bytes | None = None
    """ATYP, address and port in the header instead of the true source."""


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
    bound: bytes | None = None
    """ATYP, address and port in the reply, as raw octets."""
    bound_host: str | None = None
    """The host in the reply to UDP ASSOCIATE, beside the true port; a name, which may be empty, or an IP."""
    udp: UdpScript = field(default_factory=UdpScript)
