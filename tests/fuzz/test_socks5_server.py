"""Invariant: whatever a client sends, the server waits, has a request, closes, or raises ProtocolError.

It comes out the same however the octets were cut, and no more of them are kept than a message has.
"""

from hypothesis import given
from hypothesis import strategies as st

from fakes.pieces import cut
from sockslocal.socks5.errors import ProtocolError
from sockslocal.socks5.server import Authenticate, ServerHandshake

LONGEST_LOGIN = 1 + 1 + 255 + 1 + 255

sized = st.binary(max_size=255).map(lambda octets: bytes((len(octets),)) + octets)
greetings = st.sampled_from([b"\x05\x01\x00", b"\x05\x01\x02", b"\x05\x02\x00\x02", b"\x05\x00", b"\x04"])
logins = st.tuples(st.sampled_from([b"\x01", b"\x05"]), sized, sized).map(b"".join)
addresses = st.one_of(
    st.binary(min_size=6, max_size=6).map(lambda rest: b"\x01" + rest),
    st.binary(min_size=18, max_size=18).map(lambda rest: b"\x04" + rest),
    st.tuples(sized, st.binary(min_size=2, max_size=2)).map(lambda parts: b"\x03" + b"".join(parts)),
    st.binary(max_size=8),
)
requests = st.tuples(st.sampled_from([b"\x05\x01\x00", b"\x05\x02\x00", b"\x05\x03\x00", b"\x05"]), addresses)

likely = st.tuples(greetings, logins | st.just(b""), requests.map(b"".join), st.binary(max_size=8)).map(
    b"".join
)
garbage = st.binary(max_size=600)


def even(username: bytes, password: bytes) -> bool:
    """Lets half of the logins pass."""
    return (len(username) + len(password)) % 2 == 0


def outcome(authenticate: Authenticate | None, pieces: list[bytes]) -> object:
    """How it ended: the error, or what was said, learned and left over."""
    handshake = ServerHandshake(authenticate)
    answers = b""
    rest = list(pieces)
    try:
        while rest and handshake.request is None and not handshake.closing:
            answers += handshake.receive(rest.pop(0))
            assert handshake.request or handshake.closing or len(handshake._buffer) < LONGEST_LOGIN
    except ProtocolError as error:
        return error.phrase
    if handshake.closing:
        return answers
    return answers, handshake.stage, handshake.request, handshake.trailing + b"".join(rest)


@given(st.sampled_from([None, even]), likely | garbage, st.data())
def test_only_documented_errors_and_the_same_however_cut(
    authenticate: Authenticate | None, sent: bytes, data: st.DataObject
) -> None:
    """Fed whole, octet by octet, and cut at random."""
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=8))
    whole = outcome(authenticate, [sent])
    assert whole == outcome(authenticate, cut(sent, range(1, len(sent))))
    assert whole == outcome(authenticate, cut(sent, cuts))
