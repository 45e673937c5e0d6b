"""The header in front of each UDP payload (RFC 1928 §7): RSV RSV FRAG, then ATYP ADDR PORT of the remote."""

from functools import lru_cache

from sockslocal.address import Endpoint
from sockslocal.socks5.errors import DatagramError, Drop
from sockslocal.socks5.messages import CACHED_ADDRESSES, address_end, decode_address, encode_address

_ADDRESS = 3
"""RSV RSV FRAG, then the address field."""


@lru_cache(CACHED_ADDRESSES)
def encode_header(remote: Endpoint) -> bytes:
    """What precedes a payload for `remote`. Raises AddressError as `encode_address`."""
    return bytes(_ADDRESS) + encode_address(remote)


def parse_header(datagram: bytes | memoryview) -> tuple[Endpoint, int]:
    """Where the datagram comes from and the offset of its payload, which may be empty.

    Raises DatagramError for what cannot be used; fragments are never reassembled, as RFC 1928 allows.
    """
    if len(datagram) < 5:
        raise DatagramError(Drop.TRUNCATED)
    if datagram[0] or datagram[1]:
        raise DatagramError(Drop.RESERVED)
    if datagram[2]:
        raise DatagramError(Drop.FRAGMENT)
    end = address_end(datagram, _ADDRESS)
    if end is None:
        raise DatagramError(Drop.ADDRESS_TYPE)
    if len(datagram) < end:
        raise DatagramError(Drop.TRUNCATED)
    return decode_address(bytes(datagram[_ADDRESS:end])), end
