"""Invariant: a peer that is written from the specifications alone reads what we write, and the reverse.

The peer is the fake server's; whatever the datagrams are, and however what it writes is cut on its way.
"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.pieces import cut
from fakes.socks5_script import StreamFormat
from fakes.socks5_streams import FRAMES
from fakes.socks5_wire import address_octets
from sockslocal.address import Endpoint
from sockslocal.socks5.datagram import encode_header
from sockslocal.socks5.udp_over_tcp import FRAMINGS

FORMATS = {
    "uot-v2": StreamFormat.UOT_V2,
    "uot-v1": StreamFormat.UOT_V1,
    "hev": StreamFormat.HEV,
    "gost": StreamFormat.GOST,
}

names = st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z]{1,10}){0,3}", fullmatch=True)
hosts = names | st.ip_addresses(v=4).map(str) | st.sampled_from(["2001:db8::1", "::1"])
remotes = st.builds(Endpoint, hosts, st.integers(1, 65_535))
payloads = st.binary(max_size=300) | st.integers(301, 65_507).map(bytes)
datagrams = st.lists(st.tuples(remotes, payloads), max_size=4)


class Wire:
    """Octets that are there already, or come never."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    async def read(self, count: int) -> bytes:
        if len(self.octets) < count:
            raise EOFError
        wanted, self.octets = self.octets[:count], self.octets[count:]
        return wanted


@pytest.mark.parametrize("name", FRAMINGS)
@given(sent=datagrams)
def test_the_peer_reads_what_we_write(name: str, sent: list[tuple[Endpoint, bytes]]) -> None:
    """Every datagram but those that have no frame, and nothing behind them."""
    framing = FRAMINGS[name]
    frames = [framing.encode(encode_header(remote), payload) for remote, payload in sent]
    wire = Wire(framing.opening + b"".join(frame or b"" for frame in frames))
    peer = FRAMES[FORMATS[name]]()
    said = [(remote, payload) for (remote, payload), frame in zip(sent, frames, strict=True) if frame]

    async def read() -> None:
        await peer.begin(wire.read)
        for remote, payload in said:
            assert await peer.next(wire.read) == (address_octets(*remote), payload)

    asyncio.run(read())
    assert wire.octets == b""
    assert all(frame or not payload for (_, payload), frame in zip(sent, frames, strict=True))


@pytest.mark.parametrize("name", FRAMINGS)
@given(sent=datagrams, data=st.data())
def test_we_read_what_the_peer_writes(
    name: str, sent: list[tuple[Endpoint, bytes]], data: st.DataObject
) -> None:
    """Every datagram that it can write, with the header of RFC 1928."""
    peer, decoder = FRAMES[FORMATS[name]](), FRAMINGS[name].decoder()
    frames = [peer.write(address_octets(*remote), payload) for remote, payload in sent]
    octets = b"".join(frames)
    cuts = data.draw(st.lists(st.integers(0, len(octets)), max_size=6))
    received = [datagram for piece in cut(octets, cuts) for datagram in decoder.feed(piece)]
    assert received == [
        encode_header(remote) + payload
        for (remote, payload), frame in zip(sent, frames, strict=True)
        if frame
    ]
