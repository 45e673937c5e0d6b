import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.resolver.incoming import Incoming, NotDnsError
from sockslocal.resolver.wire import HEADER, MAX_QUERY

PLAUSIBLE = b"\x12\x34\1\0\0\1\0\0\0\0\0\0"


def framed(message: bytes) -> bytes:
    """With its length before it."""
    return len(message).to_bytes(2, "big") + message


def taken(incoming: Incoming) -> list[bytes]:
    """All that is ready."""
    messages = []
    while incoming.ready:
        messages.append(incoming.take())
    return messages


@given(st.lists(st.binary(min_size=HEADER, max_size=40)), st.integers(1, 50))
def test_messages_in_any_pieces(messages: list[bytes], size: int) -> None:
    """Each is given once it is whole, whatever is in it (RFC 1035 §4.2.2)."""
    incoming = Incoming()
    octets = b"".join(map(framed, messages))
    found = []
    for at in range(0, len(octets), size):
        incoming.add(octets[at : at + size])
        found += taken(incoming)
    assert found == messages


@pytest.mark.parametrize("length", [0, HEADER - 1])
def test_what_is_shorter_than_a_header_is_no_message(length: int) -> None:
    """That is known from its length; what came before is given."""
    incoming = Incoming()
    incoming.add(framed(PLAUSIBLE) + length.to_bytes(2, "big"))
    assert incoming.ready
    assert incoming.take() == PLAUSIBLE
    assert incoming.ready
    with pytest.raises(NotDnsError):
        incoming.take()


@pytest.mark.parametrize(
    "begin", [b"GET / HTTP/1.1\r\n", b"POST /dns HTTP/1.1\r\n", b"\x16\3\1\2\0" + bytes(9)]
)
def test_what_a_browser_sends_is_no_message(begin: bytes) -> None:
    """That is known from the octets where a header would be, and the rest of it is not waited for."""
    incoming = Incoming()
    incoming.add(begin[: HEADER + 1])
    assert not incoming.ready
    incoming.add(begin[HEADER + 1 :])
    assert incoming.ready
    with pytest.raises(NotDnsError):
        incoming.take()


def test_a_response_longer_than_a_query_is_no_message() -> None:
    """Nobody sends one to a server."""
    incoming = Incoming()
    incoming.add(framed(b"\x12\x34\x81" + PLAUSIBLE[3:] + bytes(MAX_QUERY))[: 2 + HEADER])
    with pytest.raises(NotDnsError):
        incoming.take()


@pytest.mark.parametrize("length", [MAX_QUERY, MAX_QUERY + 1, 65_535])
def test_what_begins_like_a_query_may_be_longer(length: int) -> None:
    """It is told that it is malformed (RFC 8906 §5), and others may follow."""
    incoming = Incoming()
    message = PLAUSIBLE + bytes(length - HEADER)
    incoming.add(framed(message)[:-1])
    assert not incoming.ready
    incoming.add(b"\0" + framed(PLAUSIBLE))
    assert taken(incoming) == [message, PLAUSIBLE]


def test_what_has_come_can_be_forgotten() -> None:
    """Where nothing more is to be taken."""
    incoming = Incoming()
    incoming.add(b"\0\0")
    incoming.clear()
    assert not incoming.ready
