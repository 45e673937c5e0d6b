import pytest

from fakes.pieces import splits
from sockslocal.address import AddressError, Endpoint
from sockslocal.secret import Secret
from sockslocal.socks5 import errors
from sockslocal.socks5.client import ClientHandshake, Credentials, Pipelining
from sockslocal.socks5.messages import Command, Request, Stage

ANA = Credentials("ana", Secret("secret"))
GREETING = b"\x05\x01\x00"
GREETING_WITH_LOGIN = b"\x05\x01\x02"
LOGIN = b"\x01\x03ana\x06secret"
REQUEST = b"\x05\x01\x00\x03\x0bdb.internal\x15\x38"
REPLY = b"\x05\x00\x00\x01\xc0\x00\x02\x09\x04\x38"

DB = Endpoint("db.internal", 5432)
ANYWHERE = Endpoint("0.0.0.0", 0)

CONNECT = Request(Command.CONNECT, DB)
ASSOCIATE = Request(Command.UDP_ASSOCIATE, ANYWHERE)


def at_stage(stage: Stage, credentials: Credentials | None = ANA) -> ClientHandshake:
    """A handshake that has come as far as `stage`, by what the server says before it."""
    handshake = ClientHandshake(credentials, None if stage is Stage.READY else CONNECT)
    handshake.start()
    if stage is not Stage.GREETING:
        handshake.receive(b"\x05\x02" if credentials else b"\x05\x00")
    if stage is not Stage.AUTHENTICATION and handshake.stage is Stage.AUTHENTICATION:
        handshake.receive(b"\x01\x00")
    if stage is Stage.DONE:
        handshake.receive(REPLY)
    assert handshake.stage is stage
    return handshake


def fed(handshake: ClientHandshake, pieces: list[bytes]) -> bytes:
    """All that the handshake answers to `pieces`."""
    return b"".join([handshake.receive(piece) for piece in pieces])


def test_a_login_and_a_connection() -> None:
    """The whole conversation: what the client says, one message a send (H4), and where it is then."""
    handshake = ClientHandshake(ANA, CONNECT)
    assert (handshake.bound, handshake.trailing) == (None, b"")
    assert [
        (handshake.start(), handshake.stage),
        (handshake.receive(b"\x05\x02"), handshake.stage),
        (handshake.receive(b"\x01\x00"), handshake.stage),
        (handshake.receive(REPLY), handshake.stage),
    ] == [
        (GREETING_WITH_LOGIN, Stage.GREETING),
        (LOGIN, Stage.AUTHENTICATION),
        (REQUEST, Stage.REPLY),
        (b"", Stage.DONE),
    ]
    assert handshake.bound == Endpoint("192.0.2.9", 1080)
    assert handshake.trailing == b""


def test_a_udp_association_without_login() -> None:
    """Without credentials no login is offered, and none is asked for."""
    handshake = ClientHandshake(None, ASSOCIATE)
    assert handshake.start() == GREETING
    assert handshake.receive(b"\x05\x00") == b"\x05\x03\x00\x01" + bytes(6)
    handshake.receive(REPLY)
    assert handshake.bound == Endpoint("192.0.2.9", 1080)


@pytest.mark.parametrize(
    ("credentials", "request_", "pipelining", "said"),
    [
        (ANA, CONNECT, Pipelining.SEMI, [GREETING_WITH_LOGIN, LOGIN + REQUEST, b""]),
        (ANA, CONNECT, Pipelining.FULL, [GREETING_WITH_LOGIN + LOGIN + REQUEST, b"", b""]),
        (ANA, None, Pipelining.SEMI, [GREETING_WITH_LOGIN, LOGIN, b""]),
        (ANA, None, Pipelining.FULL, [GREETING_WITH_LOGIN + LOGIN, b"", b""]),
        (None, CONNECT, Pipelining.SEMI, [GREETING, REQUEST]),
        (None, CONNECT, Pipelining.FULL, [GREETING + REQUEST, b""]),
        (None, None, Pipelining.FULL, [GREETING, b""]),
    ],
)
def test_what_leaves_together(
    credentials: Credentials | None, request_: Request | None, pipelining: Pipelining, said: list[bytes]
) -> None:
    """As much as the server bears; what it answers is waited for all the same (H1, H2)."""
    answers = [b"\x05\x02", b"\x01\x00"] if credentials else [b"\x05\x00"]
    handshake = ClientHandshake(credentials, request_, pipelining)
    assert [handshake.start(), *map(handshake.receive, answers)] == said
    stage: Stage = handshake.stage
    assert stage is (Stage.REPLY if request_ else Stage.READY)
    if request_:
        assert handshake.receive(REPLY) == b""
        assert handshake.bound == Endpoint("192.0.2.9", 1080)


@pytest.mark.parametrize("pieces", splits(b"\x05\x02\x01\x00" + REPLY + b"data"))
def test_the_answers_to_a_whole_handshake_in_any_pieces(pieces: list[bytes]) -> None:
    """Nothing is said again, and what is behind the reply is the tunnel's."""
    handshake = ClientHandshake(ANA, CONNECT, Pipelining.FULL)
    handshake.start()
    for piece in pieces:
        if handshake.stage is Stage.DONE:
            break
        assert handshake.receive(piece) == b""
    assert handshake.stage is Stage.DONE
    assert b"data".startswith(handshake.trailing)


@pytest.mark.parametrize("pieces", splits(b"\x05\x02"))
def test_the_method_in_any_pieces(pieces: list[bytes]) -> None:
    """The login leaves once, when the method is known (H5)."""
    handshake = at_stage(Stage.GREETING)
    assert fed(handshake, pieces) == LOGIN


@pytest.mark.parametrize("pieces", splits(b"\x01\x00"))
def test_the_status_in_any_pieces(pieces: list[bytes]) -> None:
    """Half a status is no status (H5)."""
    handshake = at_stage(Stage.AUTHENTICATION)
    assert fed(handshake, pieces) == REQUEST
    assert handshake.stage is Stage.REPLY


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        (b"\x01\x00\x00\x00\x00\x00\x00", ANYWHERE),
        (b"\x04" + bytes(15) + b"\x01\x04\x38", Endpoint("::1", 1080)),
        (b"\x03\x0bdb.internal\x15\x38", DB),
        (b"\x03\x00\x1d\x49", Endpoint("", 7497)),
        (b"\x03\x01\x00\x1d\x49", Endpoint("", 7497)),
        (b"\x04" + bytes(10) + b"\xff\xff\xc0\x00\x02\x09\x04\x38", Endpoint("192.0.2.9", 1080)),
    ],
)
def test_the_reply_in_any_pieces_with_any_address(address: bytes, bound: Endpoint) -> None:
    """Servers name what they like (R4, U4); what follows the reply belongs to the tunnel."""
    reply = b"\x05\x00\x00" + address
    for pieces in splits(reply + b"220 ready"):
        handshake = at_stage(Stage.REPLY)
        rest = iter(pieces)
        while handshake.stage is Stage.REPLY:
            handshake.receive(next(rest))
        assert handshake.bound == bound
        assert handshake.trailing + b"".join(rest) == b"220 ready"


def test_answers_sent_ahead_are_taken() -> None:
    """A server that accepts the login before it has come is accepted too."""
    handshake = at_stage(Stage.GREETING)
    assert handshake.receive(b"\x05\x02\x01\x00") == LOGIN + REQUEST
    assert handshake.stage is Stage.REPLY


def test_all_answers_sent_ahead_are_taken() -> None:
    """Where the octets were cut makes no difference, so a reply that comes with the status is one."""
    for pieces in splits(b"\x05\x02\x01\x00" + REPLY):
        handshake = at_stage(Stage.GREETING)
        assert fed(handshake, pieces) == LOGIN + REQUEST
        assert handshake.stage is Stage.DONE


def test_half_an_answer_sent_ahead_is_kept() -> None:
    """The other half completes it."""
    handshake = at_stage(Stage.GREETING)
    assert handshake.receive(b"\x05\x02\x01") == LOGIN
    assert handshake.partial
    assert handshake.receive(b"\x00") == REQUEST
    assert not handshake.partial


@pytest.mark.parametrize(
    ("stage", "message"),
    [(Stage.GREETING, b"\x05\x02"), (Stage.AUTHENTICATION, b"\x01\x00"), (Stage.REPLY, REPLY)],
)
def test_partial_while_a_message_is_incomplete(stage: Stage, message: bytes) -> None:
    """It tells a server that is slow in the middle from one that says nothing."""
    handshake = at_stage(stage)
    partial = [handshake.partial]
    for octet in message:
        handshake.receive(bytes((octet,)))
        partial.append(handshake.partial)
    assert partial == [False, *[True] * (len(message) - 1), False]


def test_nothing_received_changes_nothing() -> None:
    """An empty piece is not an end."""
    for stage in (Stage.GREETING, Stage.AUTHENTICATION, Stage.READY, Stage.REPLY):
        handshake = at_stage(stage)
        assert handshake.receive(b"") == b""
        assert handshake.stage is stage


def test_a_status_with_the_version_of_socks() -> None:
    """Some servers answer the login with 05 rather than 01 (H7)."""
    handshake = at_stage(Stage.AUTHENTICATION)
    assert handshake.receive(b"\x05\x00") == REQUEST


@pytest.mark.parametrize("status", [1, 2, 255])
@pytest.mark.parametrize("version", [1, 5])
def test_a_rejected_login(version: int, status: int) -> None:
    """Any status but 0 is a refusal (H8)."""
    with pytest.raises(errors.AuthenticationRejected) as caught:
        at_stage(Stage.AUTHENTICATION).receive(bytes((version, status)))
    assert (caught.value.username, caught.value.status) == ("ana", status)


@pytest.mark.parametrize(("credentials", "username"), [(None, None), (ANA, "ana")])
def test_no_acceptable_method(credentials: Credentials | None, username: str | None) -> None:
    """The error knows what was offered, so that it can say what else to try."""
    with pytest.raises(errors.NoAcceptableMethod) as caught:
        at_stage(Stage.GREETING, credentials).receive(b"\x05\xff")
    assert caught.value.username == username


@pytest.mark.parametrize(("credentials", "method"), [(None, 2), (None, 1), (ANA, 0), (ANA, 1), (ANA, 0x80)])
def test_a_method_that_was_not_offered(credentials: Credentials | None, method: int) -> None:
    """Above all, nobody skips the login that the user wants (H6)."""
    with pytest.raises(errors.MethodNotOffered) as caught:
        at_stage(Stage.GREETING, credentials).receive(bytes((5, method)))
    assert caught.value.method == method


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        (b"HTTP/1.0 501 Tor is not an HTTP Proxy\r\n", "it answers as an HTTP server"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "it answers as an SSH server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "it answers as a TLS server"),
        (b"\x16\x03\x03\x00\x7a", "it answers as a TLS server"),
        (b"\x00\x5a\x00\x00\x00\x00\x00\x00", "it answers as a SOCKS4 server"),
        (b"\x00\x5d\x00\x00\x00\x00\x00\x00", "it answers as a SOCKS4 server"),
        (b"\x00\x5e\x00\x00\x00\x00\x00\x00", "its answer begins with 0, not 5"),
        (b"220 mail.example ESMTP\r\n", "its answer begins with 50, not 5"),
        (b"Hello", "its answer begins with 72, not 5"),
        (b"\x00\x00", "its answer begins with 0, not 5"),
        (b"\x04\x02", "its answer begins with 4, not 5"),
    ],
)
def test_other_protocols_are_recognised(answer: bytes, phrase: str) -> None:
    """The user learns who answers there (H12), however slowly it does."""
    for pieces in splits(answer):
        with pytest.raises(errors.NotSocks5) as caught:
            fed(at_stage(Stage.GREETING), pieces)
        assert caught.value.phrase == phrase


@pytest.mark.parametrize(
    ("stage", "answer", "phrase"),
    [
        (Stage.AUTHENTICATION, b"\x02\x00", "its answer to the login has version 2, not 1"),
        (Stage.READY, b"\x05", "it sent data before it was asked for anything"),
        (Stage.REPLY, b"\x04\x00", "its reply has version 4, not 5"),
        (Stage.REPLY, b"\x05\x00\x00\x02\x00", "its reply has an address of the unknown type 2"),
    ],
)
def test_garbage_at_each_stage(stage: Stage, answer: bytes, phrase: str) -> None:
    """What is not SOCKS5 ends the handshake with a word about it."""
    with pytest.raises(errors.ProtocolError) as caught:
        at_stage(stage).receive(answer)
    assert caught.value.phrase == phrase


@pytest.mark.parametrize(
    ("credentials", "answers"), [(None, b"\x05\x00\x00"), (ANA, b"\x05\x02\x01\x00\x00")]
)
def test_data_without_a_request(credentials: Credentials | None, answers: bytes) -> None:
    """A server that was only to be logged in to has no more to say."""
    for pieces in splits(answers):
        with pytest.raises(errors.ProtocolError, match="before it was asked"):
            fed(ClientHandshake(credentials, None), pieces)


@pytest.mark.parametrize("rest", [b"", b"\x00", b"\x00\x00", b"\x00\x00\x00\x00\x00\x00\x00\x00"])
def test_a_refusal_needs_no_address(rest: bytes) -> None:
    """Some servers send none, or one of type 0 (R1)."""
    for pieces in splits(b"\x05\x05" + rest):
        with pytest.raises(errors.TargetRefused) as caught:
            fed(at_stage(Stage.REPLY), pieces)
        assert caught.value.request == (Command.CONNECT, DB)


def test_a_refusal_after_a_login_knows_of_it() -> None:
    """The login may be what is refused (H8)."""
    with pytest.raises(errors.NotAllowed, match="does not accept the login"):
        at_stage(Stage.REPLY).receive(b"\x05\x02")
    with pytest.raises(errors.NotAllowed, match=r"the server's rules forbid it$"):
        at_stage(Stage.REPLY, None).receive(b"\x05\x02")


@pytest.mark.parametrize("stage", list(Stage))
def test_the_end_at_each_stage(stage: Stage) -> None:
    """The error knows how far the server went (R2, R3)."""
    error = at_stage(stage).eof()
    assert isinstance(error, errors.ConnectionClosed)
    assert (error.stage, error.username) == (stage, "ana")
    assert error.request == (CONNECT if stage in (Stage.REPLY, Stage.DONE) else None)
    assert at_stage(Stage.GREETING, None).eof().problem_at("proxy:1080", "office").code == "server-closed"


def test_nothing_is_received_after_the_end() -> None:
    """What comes then belongs to the tunnel; to feed it here is the caller's mistake."""
    with pytest.raises(RuntimeError, match="over"):
        at_stage(Stage.DONE).receive(b"data")


def test_a_target_that_cannot_be_sent() -> None:
    """It is refused before anything is said."""
    with pytest.raises(AddressError):
        ClientHandshake(None, Request(Command.CONNECT, Endpoint("", 80)))


@pytest.mark.parametrize(
    "text", ["", "a", "a" * 127, "a" * 128, "a" * 255, "ü" * 127, " a ", "\x00", "<torS0X>0", "@:/%ß€"]
)
def test_credentials_are_sent_as_they_are(text: str) -> None:
    """Octets of UTF-8, 0 to 255 of them (H9, H10), neither trimmed nor normalised (H11)."""
    octets = text.encode()
    sized = bytes((len(octets),)) + octets
    handshake = ClientHandshake(Credentials(text, Secret(text)), CONNECT)
    handshake.start()
    assert handshake.receive(b"\x05\x02") == b"\x01" + sized + sized


@pytest.mark.parametrize("text", ["a" * 256, "ü" * 128])
def test_credentials_that_are_too_long(text: str) -> None:
    """Octets are counted, not characters (H10)."""
    with pytest.raises(errors.InvalidCredentials, match="the user name has 256 octets, more than 255"):
        Credentials(text, Secret(""))
    with pytest.raises(errors.InvalidCredentials, match="the password has 256 octets, more than 255"):
        Credentials("", Secret(text))


def test_credentials_that_are_no_text_are_refused_without_being_shown() -> None:
    """A command's undecodable output ends up as lone surrogates."""
    with pytest.raises(errors.InvalidCredentials) as caught:
        Credentials("ana", Secret("hunter2\udcff"))
    assert str(caught.value) == "the password is not valid Unicode"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_credentials_do_not_show_the_password() -> None:
    """Nor the message that holds it."""
    assert repr(ANA) == "Credentials(username='ana', password=•••)"


def test_credentials_are_compared_by_what_they_say() -> None:
    """A reload that changes nothing keeps the connections."""
    assert Credentials("ana", Secret("secret")) == ANA
    assert Credentials("ana", Secret("other")) != ANA
