import pytest

from fakes.pieces import splits
from sockslocal.address import Endpoint
from sockslocal.socks5.errors import ProtocolError
from sockslocal.socks5.messages import Command, Reply, Request, Stage
from sockslocal.socks5.server import ServerHandshake

LOGIN = b"\x01\x03ana\x06secret"
REQUEST = b"\x05\x01\x00\x03\x0bdb.internal\x15\x38"
DB = Endpoint("db.internal", 5432)


def is_ana(username: bytes, password: bytes) -> bool:
    """The one login that may pass."""
    return (username, password) == (b"ana", b"secret")


def after(sent: bytes, *, login: bool = True) -> ServerHandshake:
    """A handshake whose client has sent this much."""
    handshake = ServerHandshake(is_ana if login else None)
    handshake.receive(sent)
    return handshake


def test_a_login_and_a_connection() -> None:
    """The whole conversation: what the server says, and where it is then."""
    handshake = ServerHandshake(is_ana)
    assert (handshake.request, handshake.trailing, handshake.closing) == (None, b"", False)
    assert [
        (handshake.receive(b"\x05\x01\x02"), handshake.stage),
        (handshake.receive(LOGIN), handshake.stage),
        (handshake.receive(REQUEST), handshake.stage),
        (handshake.request, handshake.closing),
        (handshake.reply(Reply.SUCCEEDED, Endpoint("192.0.2.9", 1080)), handshake.stage),
    ] == [
        (b"\x05\x02", Stage.AUTHENTICATION),
        (b"\x01\x00", Stage.READY),
        (b"", Stage.REPLY),
        (Request(Command.CONNECT, DB), False),
        (b"\x05\x00\x00\x01\xc0\x00\x02\x09\x04\x38", Stage.DONE),
    ]
    assert not handshake.closing


def test_an_association_without_login() -> None:
    """Who wants no login asks for none; a name that is none is no hindrance, PySocks sends `0`."""
    handshake = ServerHandshake(None)
    assert handshake.receive(b"\x05\x02\x00\x02") == b"\x05\x00"
    assert handshake.receive(b"\x05\x03\x00\x03\x010\x00\x00") == b""
    assert handshake.request == Request(Command.UDP_ASSOCIATE, Endpoint("", 0))


def test_all_messages_in_any_pieces() -> None:
    """Coalesced as Tor's and microsocks's are not allowed to be (H1), split as theirs (H4), or neither."""
    for pieces in splits(b"\x05\x01\x02" + LOGIN + REQUEST + b"GET / "):
        handshake = ServerHandshake(is_ana)
        answers = b""
        rest = iter(pieces)
        while handshake.request is None:
            answers += handshake.receive(next(rest))
        assert answers == b"\x05\x02\x01\x00"
        assert handshake.request == (Command.CONNECT, DB)
        assert handshake.trailing + b"".join(rest) == b"GET / "


@pytest.mark.parametrize("methods", [b"", b"\x00", b"\x01\x03\x80", bytes(255)])
def test_no_acceptable_method(methods: bytes) -> None:
    """The client is told before it is left."""
    handshake = ServerHandshake(is_ana)
    assert handshake.receive(b"\x05" + bytes((len(methods),)) + methods) == b"\x05\xff"
    assert handshake.closing


@pytest.mark.parametrize(
    ("username", "password"), [(b"ana", b"wrong"), (b"", b""), (b"\xff" * 255, b"\x00" * 255)]
)
def test_a_wrong_login(username: bytes, password: bytes) -> None:
    """The client is told, gets no second try, and nothing it sent ahead is looked at."""
    handshake = after(b"\x05\x01\x02")
    login = b"\x01" + bytes((len(username),)) + username + bytes((len(password),)) + password
    assert handshake.receive(login + REQUEST) == b"\x01\x01"
    assert handshake.closing
    assert handshake.request is None


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (b"\x05\x02\x00\x01\xc0\x00\x02\x01\x00\x50", Reply.COMMAND_NOT_SUPPORTED),
        (b"\x05\x04\x00\x01\xc0\x00\x02\x01\x00\x50", Reply.COMMAND_NOT_SUPPORTED),
        (b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", Reply.COMMAND_NOT_SUPPORTED),
        (b"\x05\xf3\x00\x01\x00\x00\x00\x00\x00\x00", Reply.COMMAND_NOT_SUPPORTED),
        (b"\x05\x01\x00\x02\xc0", Reply.ADDRESS_TYPE_NOT_SUPPORTED),
        (b"\x05\x01\x00\x03\x00\x00\x50", Reply.HOST_UNREACHABLE),
        (b"\x05\x01\x00\x03\x03a b\x00\x50", Reply.HOST_UNREACHABLE),
    ],
)
def test_a_request_that_cannot_be_served(request_: bytes, reply: Reply) -> None:
    """BIND, others' commands, unknown address types and names that are none have a reply of their own."""
    for pieces in splits(request_):
        handshake = after(b"\x05\x01\x00", login=False)
        answers = b"".join([handshake.receive(piece) for piece in pieces])
        assert answers == bytes((5, reply, 0, 1)) + bytes(6)
        assert handshake.closing
        assert handshake.request is None


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"GET / HTTP/1.1\r\n", "its greeting has version 71, not 5"),
        (b"\x05\x01\x02\x05", "its login has version 5, not 1"),
        (b"\x05\x01\x02" + LOGIN + b"\x04", "its request has version 4, not 5"),
    ],
)
def test_what_is_not_socks5(sent: bytes, text: str) -> None:
    """There is nothing to answer."""
    with pytest.raises(ProtocolError, match=text):
        after(sent)


@pytest.mark.parametrize("reply", [reply for reply in Reply if reply is not Reply.SUCCEEDED])
def test_a_failed_request_ends_the_connection(reply: Reply) -> None:
    """After the reply there is nothing to be had on it (RFC 1928 §6)."""
    handshake = after(b"\x05\x01\x02" + LOGIN + REQUEST)
    assert handshake.reply(reply) == bytes((5, reply, 0, 1)) + bytes(6)
    assert handshake.closing


def test_nothing_is_received_once_there_is_a_request() -> None:
    """What comes then belongs to the target; to feed it here is the caller's mistake."""
    handshake = after(b"\x05\x01\x02" + LOGIN + REQUEST)
    with pytest.raises(RuntimeError, match="takes no more"):
        handshake.receive(b"data")


def test_a_reply_needs_a_request() -> None:
    """To reply too early or twice is the caller's mistake."""
    handshake = after(b"\x05\x01\x02")
    with pytest.raises(RuntimeError, match="no request"):
        handshake.reply(Reply.SUCCEEDED)
    handshake.receive(LOGIN + REQUEST)
    handshake.reply(Reply.SUCCEEDED)
    with pytest.raises(RuntimeError, match="no request"):
        handshake.reply(Reply.SUCCEEDED)
