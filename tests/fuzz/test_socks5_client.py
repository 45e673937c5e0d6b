"""Invariant: whatever a server sends, the client goes on, is done, or raises a RemoteError, and nothing else.

It comes out the same however the octets were cut, and no more of them are kept than a message has.
"""

from hypothesis import given
from hypothesis import strategies as st

from fakes.pieces import cut
from sockslocal.address import Endpoint
from sockslocal.secret import Secret
from sockslocal.socks5.client import ClientHandshake, Credentials
from sockslocal.socks5.errors import RemoteError
from sockslocal.socks5.messages import Command, Request, Stage

CREDENTIALS = Credentials("ana", Secret("secret"))
REQUEST = Request(Command.CONNECT, Endpoint("db.internal", 5432))
LONGEST_REPLY = 4 + 1 + 255 + 2

addresses = st.one_of(
    st.binary(min_size=6, max_size=6).map(lambda rest: b"\x01" + rest),
    st.binary(min_size=18, max_size=18).map(lambda rest: b"\x04" + rest),
    st.binary(max_size=255).map(lambda name: b"\x03" + bytes((len(name),)) + name + b"\x04\x38"),
    st.binary(max_size=8),
)
replies = st.tuples(
    st.sampled_from([b"\x05\x00\x00", b"\x05\x05\x00", b"\x05"]), addresses, st.binary(max_size=8)
)
methods = st.sampled_from([b"\x05\x02", b"\x05\x00", b"\x05\xff", b"HTTP/1.0", b"\x15\x03", b"\x00\x5b", b""])
statuses = st.sampled_from([b"\x01\x00", b"\x05\x00", b"\x01\x01", b""])

likely_logins = st.tuples(methods, statuses).map(b"".join)
likely_replies = replies.map(b"".join)
garbage = st.binary(max_size=300)


def outcome(credentials: Credentials | None, pieces: list[bytes]) -> object:
    """How it ended: the error, or what was said, learned and left over."""
    handshake = ClientHandshake(credentials, REQUEST)
    sent = handshake.start()
    try:
        rest = list(pieces)
        while rest and handshake.stage is not Stage.DONE:
            sent += handshake.receive(rest.pop(0))
            assert len(handshake._buffer) < LONGEST_REPLY
    except RemoteError as error:
        return type(error), error.phrase
    trailing = handshake.trailing + b"".join(rest)
    return sent, handshake.stage, handshake.partial, handshake.bound, trailing


@given(st.sampled_from([None, CREDENTIALS]), likely_logins | garbage, likely_replies | garbage, st.data())
def test_only_documented_errors_and_the_same_however_cut(
    credentials: Credentials | None, login: bytes, reply: bytes, data: st.DataObject
) -> None:
    """Fed whole, octet by octet, and cut at random."""
    said = login + reply
    whole = outcome(credentials, [said])
    octets = outcome(credentials, cut(said, range(1, len(said))))
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=16))
    assert whole == octets == outcome(credentials, cut(said, cuts))
