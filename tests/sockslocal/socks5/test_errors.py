import pytest

from sockslocal.address import Endpoint
from sockslocal.problems import problem
from sockslocal.socks5 import errors
from sockslocal.socks5.errors import (
    AuthenticationRejected,
    ConnectionClosed,
    DatagramError,
    Drop,
    FramingError,
    MethodNotOffered,
    NoAcceptableMethod,
    NotSocks5,
    ProtocolError,
    RemoteError,
    RequestRefused,
    refusal,
)
from sockslocal.socks5.messages import Command, Request, Stage

DB = Endpoint("db.internal", 5432)
CONNECT = Request(Command.CONNECT, DB)
ASSOCIATE = Request(Command.UDP_ASSOCIATE, Endpoint("0.0.0.0", 0))
HEV, GOST = (ASSOCIATE._replace(command=command) for command in (Command.HEV_UDP, Command.GOST_UDP))

SET_USERNAME = "set username in [server.office], then: sockslocal login office"
REMOVE_USERNAME = "if the server wants no login, remove username from [server.office]"
CHECK_PASSWORD = "if the password is wrong: sockslocal login office"
READ_LOG = "check the server's log for the reason"


def assert_problem(error: RemoteError, code: str, **details: object) -> None:
    """Given the server's address and name, `error` becomes the registry's `code` with these `details`."""
    expected = problem(code, address="proxy:1080", server="office", **details)
    assert error.problem_at("proxy:1080", "office") == expected


def test_what_is_not_socks5_says_what_it_is() -> None:
    """The phrase goes on where the problem's text ends."""
    for error in (ProtocolError("its reply has version 4, not 5"), NotSocks5("it answers as an SSH server")):
        assert_problem(error, "server-not-socks5", detail=error.phrase)


def test_no_common_method_says_what_was_offered_and_what_else_to_offer() -> None:
    """The user either adds or removes the user name."""
    assert_problem(NoAcceptableMethod(None), "server-no-method", offered="no login", remedy=SET_USERNAME)
    error = NoAcceptableMethod("ana")
    assert_problem(error, "server-no-method", offered="user name and password", remedy=REMOVE_USERNAME)


@pytest.mark.parametrize(
    ("error", "method", "offered", "remedy"),
    [
        (MethodNotOffered("ana", 0), "no login", "user name and password", REMOVE_USERNAME),
        (
            MethodNotOffered("ana", 1),
            "GSSAPI",
            "user name and password",
            "have the server accept user name and password",
        ),
        (MethodNotOffered(None, 2), "user name and password", "no login", SET_USERNAME),
        (MethodNotOffered(None, 128), "method 128", "no login", "have the server accept no login"),
    ],
)
def test_a_method_that_was_not_offered_is_named(
    error: MethodNotOffered, method: str, offered: str, remedy: str
) -> None:
    """Whether a login may be skipped is not the server's choice, but what it chose tells what it wants."""
    assert_problem(error, "server-wrong-method", method=method, offered=offered, remedy=remedy)


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (NoAcceptableMethod("ana"), "it accepts no method that was offered"),
        (MethodNotOffered("ana", 0), "it chose method 0, which was not offered"),
        (AuthenticationRejected("ana", 1), "it rejected the user name or password"),
        (ConnectionClosed(Stage.REPLY, None, CONNECT), "it closed the connection during the reply"),
    ],
)
def test_each_says_in_a_phrase_what_the_server_did(error: RemoteError, phrase: str) -> None:
    """For the log, where the server's address stands before it."""
    assert error.phrase == str(error) == phrase


def test_a_rejected_login_says_whose() -> None:
    """The remedy is a new login."""
    assert_problem(
        AuthenticationRejected("ana", 1), "auth-failed", username="ana", remedy="sockslocal login office"
    )


@pytest.mark.parametrize(
    ("stage", "username", "remedy"),
    [
        (Stage.GREETING, None, READ_LOG),
        (Stage.GREETING, "ana", REMOVE_USERNAME),
        (Stage.AUTHENTICATION, "ana", CHECK_PASSWORD),
        (Stage.READY, "ana", READ_LOG),
    ],
)
def test_an_end_before_the_request_is_the_servers(stage: Stage, username: str | None, remedy: str) -> None:
    """`ssh -D` ends when a login is offered, others when it is wrong (H8): the remedy says so."""
    assert_problem(ConnectionClosed(stage, username, None), "server-closed", stage=stage.value, remedy=remedy)


def test_an_end_after_the_request_is_the_targets() -> None:
    """Instead of a reply (R2) or after one of success (R3): the target is rejected or cannot be reached."""
    phrase = "it closed the connection instead of answering"
    assert_problem(ConnectionClosed(Stage.REPLY, None, CONNECT), "target-refused", target=DB, phrase=phrase)
    assert_problem(ConnectionClosed(Stage.DONE, None, CONNECT), "target-closed", target=DB)


@pytest.mark.parametrize("request_", [ASSOCIATE, HEV, GOST])
def test_an_association_that_ends_is_the_servers(request_: Request) -> None:
    """It has no target that could have ended it, and neither has UDP over TCP."""
    error = ConnectionClosed(Stage.DONE, None, request_)
    assert_problem(error, "server-closed", stage="transfer", remedy=READ_LOG)


def test_what_is_not_udp_over_tcp_says_so() -> None:
    """Datagrams cannot pass that way, and the user reads why."""
    error = FramingError("hev", "a frame has an address of the unknown type 80")
    phrase = "what it sends is not UDP over TCP as hev has it: a frame has an address of the unknown type 80"
    assert str(error) == phrase
    assert_problem(error, "udp-unsupported", phrase=phrase)


def test_a_refusal_says_of_what_and_why() -> None:
    """The phrase is the reason."""
    phrase = "the target refused the connection"
    assert_problem(refusal(5, CONNECT, None), "target-refused", target=DB, phrase=phrase)


@pytest.mark.parametrize(
    "error",
    [
        refusal(7, ASSOCIATE, None),
        refusal(2, ASSOCIATE, None),
        ConnectionClosed(Stage.REPLY, None, ASSOCIATE),
        refusal(7, HEV, None),
        ConnectionClosed(Stage.REPLY, None, GOST),
    ],
)
def test_no_udp_in_its_shapes(error: RequestRefused | ConnectionClosed) -> None:
    """Tor and microsocks answer 7, gost 2, ssh and Dante close: all say that there is no UDP."""
    assert error.problem_at("proxy:1080", "office").code == "udp-unsupported"


@pytest.mark.parametrize(
    ("reply", "kind", "phrase"),
    [
        (1, errors.GeneralFailure, "the server failed and does not say why"),
        (2, errors.NotAllowed, "the server's rules forbid it"),
        (3, errors.NetworkUnreachable, "the server has no route to the target's network"),
        (4, errors.HostUnreachable, "the server does not know or cannot reach the target"),
        (5, errors.TargetRefused, "the target refused the connection"),
        (6, errors.TtlExpired, "the target did not answer the server in time"),
        (7, errors.CommandNotSupported, "the server does not support this command"),
        (8, errors.AddressTypeNotSupported, "the server does not support this kind of address"),
        (9, errors.UnassignedReply, "the server answered with the unknown code 9"),
        (0xF0, errors.UnassignedReply, "the onion service was not found"),
        (0xF1, errors.UnassignedReply, "the onion service's descriptor is invalid"),
        (0xF2, errors.UnassignedReply, "the introduction to the onion service failed"),
        (0xF3, errors.UnassignedReply, "the rendezvous with the onion service failed"),
        (0xF4, errors.UnassignedReply, "the onion service wants a client authorisation"),
        (0xF5, errors.UnassignedReply, "the onion service rejected the client authorisation"),
        (0xF6, errors.UnassignedReply, "the onion address is invalid"),
        (0xF7, errors.UnassignedReply, "the introduction to the onion service timed out"),
        (0xFF, errors.UnassignedReply, "the server answered with the unknown code 255"),
    ],
)
def test_each_reply_has_its_class_and_phrase(reply: int, kind: type[RequestRefused], phrase: str) -> None:
    """Codes that no RFC assigns are told too, Tor's in words (R5)."""
    error = refusal(reply, CONNECT, None)
    assert type(error) is kind
    assert (error.reply, error.request, error.phrase, str(error)) == (reply, CONNECT, phrase, phrase)


def test_every_octet_is_an_answer() -> None:
    """No reply code crashes the client (R5)."""
    for reply in range(1, 256):
        assert refusal(reply, CONNECT, None).problem_at("proxy:1080", "office").code == "target-refused"


def test_a_refusal_after_a_login_may_mean_the_login() -> None:
    """3proxy accepts every login and answers the request with 2 when it was wrong (H8)."""
    assert (
        refusal(2, CONNECT, "ana").phrase == "the server's rules forbid it, or it does not accept the login"
    )
    assert refusal(5, CONNECT, "ana").phrase == "the target refused the connection"


def test_a_dropped_datagram_is_counted_by_its_reason() -> None:
    """The reason is a counter's name and the error's text."""
    error = DatagramError(Drop.FRAGMENT)
    assert str(error) == "fragment"
    assert {error.reason: 1} == {"fragment": 1}
