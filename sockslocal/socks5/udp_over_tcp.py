"""UDP over TCP: datagrams as frames on one connection, for servers whose UDP does not pass.

    uot-v2  sing's, version 2: CONNECT to a name that stands for it, then what is wanted, then frames
    uot-v1  sing's, version 1: frames at once
    hev     that of hev-socks5-server, command 5
    gost    that of gost, command 243

A frame holds a payload and its remote: whom it goes to, or whom it comes from. No RFC knows of any; they are
written down in the projects' sources: SagerNet/sing common/uot, heiher/hev-socks5-core hev-socks5-udp.c,
go-gost/x internal/util/socks. All numbers are big-endian.

On our side a datagram has the header of RFC 1928 §7, as on an association.
"""

from abc import ABC, abstractmethod
from functools import lru_cache

from sockslocal.address import Endpoint
from sockslocal.socks5.errors import FramingError
from sockslocal.socks5.messages import (
    CACHED_ADDRESSES,
    AddressType,
    Command,
    Request,
    address_end,
    encode_address,
)

MAX_PAYLOAD = 0xFFFF
"""Each format says a payload's length in two octets."""

_ADDRESS = 3
"""RSV RSV FRAG of a datagram, then the address field."""

_UNSPECIFIED = Endpoint("0.0.0.0", 0)  # noqa: S104  asks, binds nothing

_SING_TYPES = {AddressType.IPV4: 0, AddressType.IPV6: 1, AddressType.DOMAIN_NAME: 2}

_RFC_BEGINNINGS = tuple(bytes((0, 0, 0, kind)) for kind in _SING_TYPES)
"""RSV, FRAG and ATYP, where sing has the index as its own ATYP."""


class Framing(ABC):
    """A format: what to ask the server for, and how datagrams travel when it has agreed.

    `opening` leaves together with the first frame.
    """

    def __init__(self, name: str, request: Request, opening: bytes = b"") -> None:
        self.name = name
        self.request = request
        self.opening = opening

    @abstractmethod
    def encode(self, header: bytes, payload: bytes | memoryview) -> bytes | None:
        """The frame for `payload`, where `header` is as `encode_header` makes it for the remote.

        None where the format has no way to say it.
        """

    @abstractmethod
    def frame_at(self, data: bytes, start: int) -> tuple[bytes, int] | None:
        """The datagram in the frame that begins at `start`, and where the frame ends.

        None where it is not complete. Raises FramingError.
        """

    def decoder(self) -> "FrameDecoder":
        """For the frames of one connection."""
        return FrameDecoder(self)


class FrameDecoder:
    """Takes frames apart, in whatever pieces they come; keeps less than one frame, 65,797 octets at most."""

    __slots__ = ("_frame_at", "_rest")

    def __init__(self, framing: Framing) -> None:
        self._frame_at = framing.frame_at
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete now. Raises FramingError, after which nothing more can be read."""
        if self._rest:
            data = self._rest + data
        datagrams: list[bytes] = []
        start = 0
        while (frame := self._frame_at(data, start)) is not None:
            datagram, start = frame
            datagrams.append(datagram)
        self._rest = data[start:]
        return datagrams


class _Sing(Framing):
    """ATYP ADDR PORT LEN DATA, with types of its own."""

    def encode(self, header: bytes, payload: bytes | memoryview) -> bytes | None:
        length = len(payload)
        if length > MAX_PAYLOAD:
            return None
        return _sing_address(header) + length.to_bytes(2) + payload

    def frame_at(self, data: bytes, start: int) -> tuple[bytes, int] | None:
        if len(data) < start + 2:
            return None
        length_at = self._address_end(data, start)
        begin = length_at + 2
        if len(data) < begin:
            return None
        end = begin + int.from_bytes(data[length_at:begin])
        if len(data) < end:
            return None
        return _RFC_BEGINNINGS[data[start]] + data[start + 1 : length_at] + data[begin:end], end

    def _address_end(self, data: bytes, start: int) -> int:
        kind = data[start]
        if kind == 0:
            return start + 1 + 4 + 2
        if kind == 1:
            return start + 1 + 16 + 2
        if kind == 2:
            return start + 1 + 1 + data[start + 1] + 2
        raise _unknown_type(self.name, kind)


class _LengthFirst(Framing):
    """The header of RFC 1928 §7 with the payload's length as RSV, and a mark as FRAG."""

    @abstractmethod
    def mark(self, header_octets: int) -> int:
        """What stands in the place of FRAG, where so many octets come before the payload."""

    def encode(self, header: bytes, payload: bytes | memoryview) -> bytes | None:
        length, rest = len(payload), _after_length(header, self.mark(len(header)))
        if length > MAX_PAYLOAD or rest is None:
            return None
        return length.to_bytes(2) + rest + payload

    def frame_at(self, data: bytes, start: int) -> tuple[bytes, int] | None:
        if len(data) < start + 5:
            return None
        begin = address_end(data, start + _ADDRESS)
        if begin is None:
            raise _unknown_type(self.name, data[start + _ADDRESS])
        mark = self.mark(begin - start)
        if data[start + 2] != mark:
            raise FramingError(self.name, f"the third octet of a frame is {data[start + 2]}, not {mark}")
        end = begin + int.from_bytes(data[start : start + 2])
        if len(data) < end:
            return None
        return bytes(_ADDRESS) + data[start + _ADDRESS : end], end


class _Hev(_LengthFirst):
    """MSGLEN HDRLEN ATYP ADDR PORT DATA.

    MSGLEN is the payload's length, though the README says otherwise: both ends are one code, which has it so.
    HDRLEN counts what comes before DATA.
    """

    def mark(self, header_octets: int) -> int:
        return header_octets


class _Gost(_LengthFirst):
    """RSV FRAG ATYP ADDR PORT DATA.

    RSV is the payload's length; gost takes 0 for "until the connection ends", so it is sent nothing empty.
    """

    def mark(self, header_octets: int) -> int:  # noqa: ARG002  the same for all
        return 0xFF

    def encode(self, header: bytes, payload: bytes | memoryview) -> bytes | None:
        return super().encode(header, payload) if len(payload) else None


@lru_cache(CACHED_ADDRESSES)
def _sing_address(header: bytes) -> bytes:
    return bytes((_SING_TYPES[AddressType(header[_ADDRESS])],)) + header[_ADDRESS + 1 :]


@lru_cache(CACHED_ADDRESSES)
def _after_length(header: bytes, mark: int) -> bytes | None:
    """What follows the length, None where `mark` does not fit: a name of more than 248 octets in hev's."""
    return bytes((mark,)) + header[_ADDRESS:] if mark <= 0xFF else None


def _unknown_type(name: str, kind: int) -> FramingError:
    return FramingError(name, f"a frame has an address of the unknown type {kind}")


FRAMINGS: dict[str, Framing] = {
    framing.name: framing
    for framing in (
        _Sing(
            "uot-v2",
            Request(Command.CONNECT, Endpoint("sp.v2.udp-over-tcp.arpa", 0)),
            b"\x00" + encode_address(_UNSPECIFIED),  # each frame names its remote, so none is wanted now
        ),
        _Sing("uot-v1", Request(Command.CONNECT, Endpoint("sp.udp-over-tcp.arpa", 0))),
        _Hev("hev", Request(Command.HEV_UDP, _UNSPECIFIED)),
        _Gost("gost", Request(Command.GOST_UDP, _UNSPECIFIED)),
    )
}
"""By name, in the order in which a server is asked for them."""
