"""What can go wrong in a SOCKS5 exchange.

    RemoteError                        the server's doing; knows all but the server's address
    ├── ProtocolError                  it sends what is not SOCKS5
    │   └── NotSocks5                  it speaks another protocol, and which
    ├── NoAcceptableMethod             it accepts no way to log in that was offered
    │   └── MethodNotOffered           it even chose another
    ├── AuthenticationRejected         it does not accept the user name or the password
    ├── ConnectionClosed               it closed the connection; knows the stage
    ├── FramingError                   it sends what is not UDP over TCP as it was agreed on
    └── RequestRefused                 it answered with a reply code other than 0
        ├── GeneralFailure             1
        ├── NotAllowed                 2
        ├── NetworkUnreachable         3
        ├── HostUnreachable            4
        ├── TargetRefused              5
        ├── TtlExpired                 6
        ├── CommandNotSupported        7
        ├── AddressTypeNotSupported    8
        └── UnassignedReply            any other, Tor's among them
    DatagramError                      a datagram to be dropped; knows the reason
    InvalidCredentials (ValueError)    our doing: they do not fit into the message

The codec does not know whom it talks to, so these carry no problem of their own: who catches a RemoteError
raises `ServerError(error.problem_at(address, server))` from it. The server's half raises only ProtocolError.
"""

# ruff: noqa: N818  each is named after what happened

from abc import abstractmethod
from enum import StrEnum

from sockslocal.problems import Problem, problem
from sockslocal.socks5.messages import Command, Method, Reply, Request, Stage

_METHODS: dict[int, str] = {
    Method.NO_AUTHENTICATION: "no login",
    Method.GSSAPI: "GSSAPI",
    Method.USERNAME_PASSWORD: "user name and password",
}
"""The ways to log in, in words."""


def _offer_login(server: str) -> str:
    return f"set username in [server.{server}], then: sockslocal login {server}"


def _offer_no_login(server: str) -> str:
    return f"if the server wants no login, remove username from [server.{server}]"


class RemoteError(Exception):
    """The server's doing; `phrase` says what it did, to be read after the server's address and a colon."""

    def __init__(self, phrase: str) -> None:
        super().__init__(phrase)
        self.phrase = phrase

    @abstractmethod
    def problem_at(self, address: str, server: str) -> Problem:
        """The problem for the user, where `address` is the server's and `server` its name in the config."""


class ProtocolError(RemoteError):
    """The server sends what is not SOCKS5."""

    def problem_at(self, address: str, server: str) -> Problem:
        return problem("server-not-socks5", address=address, server=server, detail=self.phrase)


class NotSocks5(ProtocolError):
    """The server speaks another protocol."""


class NoAcceptableMethod(RemoteError):
    """The server accepts no way to log in that was offered; `username` is None where none was offered."""

    def __init__(self, username: str | None, phrase: str = "it accepts no method that was offered") -> None:
        super().__init__(phrase)
        self.username = username

    @property
    def offered(self) -> str:
        """What was offered, in words."""
        return _METHODS[Method.NO_AUTHENTICATION if self.username is None else Method.USERNAME_PASSWORD]

    def problem_at(self, address: str, server: str) -> Problem:
        remedy = _offer_login(server) if self.username is None else _offer_no_login(server)
        return problem("server-no-method", address=address, offered=self.offered, remedy=remedy)


class MethodNotOffered(NoAcceptableMethod):
    """The server chose a `method` that was not offered, such as none where a login is wanted."""

    def __init__(self, username: str | None, method: int) -> None:
        super().__init__(username, f"it chose method {method}, which was not offered")
        self.method = method

    def problem_at(self, address: str, server: str) -> Problem:
        if self.method == Method.NO_AUTHENTICATION:
            remedy = _offer_no_login(server)
        elif self.method == Method.USERNAME_PASSWORD:
            remedy = _offer_login(server)
        else:
            remedy = f"have the server accept {self.offered}"
        return problem(
            "server-wrong-method",
            address=address,
            method=_METHODS.get(self.method, f"method {self.method}"),
            offered=self.offered,
            remedy=remedy,
        )


class AuthenticationRejected(RemoteError):
    """The server does not accept the user name or the password; `status` is its code for that."""

    def __init__(self, username: str | None, status: int) -> None:
        super().__init__("it rejected the user name or password")
        self.username = username
        self.status = status

    def problem_at(self, address: str, server: str) -> Problem:
        remedy = f"sockslocal login {server}"
        return problem("auth-failed", address=address, username=self.username, remedy=remedy)


class ConnectionClosed(RemoteError):
    """The server closed the connection while `stage` was under way."""

    def __init__(self, stage: Stage, username: str | None, request: Request | None) -> None:
        super().__init__(f"it closed the connection during the {stage}")
        self.stage = stage
        self.username = username
        self.request = request

    def problem_at(self, address: str, server: str) -> Problem:
        if self.request is not None and self.stage is Stage.REPLY:
            return _refused(self.request, address, server, "it closed the connection instead of answering")
        if self.request is not None and self.request.command is Command.CONNECT:
            return problem("target-closed", address=address, target=self.request.target)
        return problem("server-closed", address=address, stage=self.stage, remedy=self._remedy(server))

    def _remedy(self, server: str) -> str:
        if self.username is not None and self.stage is Stage.GREETING:  # as `ssh -D` does
            return _offer_no_login(server)
        if self.stage is Stage.AUTHENTICATION:
            return f"if the password is wrong: sockslocal login {server}"
        return "check the server's log for the reason"


class FramingError(RemoteError):
    """The server sends what is not UDP over TCP in the format `framing`; `detail` says in what."""

    def __init__(self, framing: str, detail: str) -> None:
        super().__init__(f"what it sends is not UDP over TCP as {framing} has it: {detail}")

    def problem_at(self, address: str, server: str) -> Problem:
        return problem("udp-unsupported", address=address, server=server, phrase=self.phrase)


class RequestRefused(RemoteError):
    """The server answered `request` with a `reply` other than 0; one subclass for each."""

    def __init__(self, reply: int, request: Request, phrase: str) -> None:
        super().__init__(phrase)
        self.reply = reply
        self.request = request

    def problem_at(self, address: str, server: str) -> Problem:
        return _refused(self.request, address, server, self.phrase)


class GeneralFailure(RequestRefused):
    """Reply 1."""


class NotAllowed(RequestRefused):
    """Reply 2."""


class NetworkUnreachable(RequestRefused):
    """Reply 3."""


class HostUnreachable(RequestRefused):
    """Reply 4."""


class TargetRefused(RequestRefused):
    """Reply 5."""


class TtlExpired(RequestRefused):
    """Reply 6."""


class CommandNotSupported(RequestRefused):
    """Reply 7."""


class AddressTypeNotSupported(RequestRefused):
    """Reply 8."""


class UnassignedReply(RequestRefused):
    """A reply that RFC 1928 leaves unassigned; Tor has some of its own."""


_REFUSALS: dict[int, tuple[type[RequestRefused], str]] = {
    Reply.GENERAL_FAILURE: (GeneralFailure, "the server failed and does not say why"),
    Reply.NOT_ALLOWED: (NotAllowed, "the server's rules forbid it"),
    Reply.NETWORK_UNREACHABLE: (NetworkUnreachable, "the server has no route to the target's network"),
    Reply.HOST_UNREACHABLE: (HostUnreachable, "the server does not know or cannot reach the target"),
    Reply.CONNECTION_REFUSED: (TargetRefused, "the target refused the connection"),
    Reply.TTL_EXPIRED: (TtlExpired, "the target did not answer the server in time"),
    Reply.COMMAND_NOT_SUPPORTED: (CommandNotSupported, "the server does not support this command"),
    Reply.ADDRESS_TYPE_NOT_SUPPORTED: (
        AddressTypeNotSupported,
        "the server does not support this kind of address",
    ),
    # spec.torproject.org/socks-extensions, with the flag ExtendedErrors
    0xF0: (UnassignedReply, "the onion service was not found"),
    0xF1: (UnassignedReply, "the onion service's descriptor is invalid"),
    0xF2: (UnassignedReply, "the introduction to the onion service failed"),
    0xF3: (UnassignedReply, "the rendezvous with the onion service failed"),
    0xF4: (UnassignedReply, "the onion service wants a client authorisation"),
    0xF5: (UnassignedReply, "the onion service rejected the client authorisation"),
    0xF6: (UnassignedReply, "the onion address is invalid"),
    0xF7: (UnassignedReply, "the introduction to the onion service timed out"),
}


def refusal(reply: int, request: Request, username: str | None) -> RequestRefused:
    """The error for a `reply` other than 0, where `username` has logged in, None for nobody."""
    unknown = (UnassignedReply, f"the server answered with the unknown code {reply}")
    kind, phrase = _REFUSALS.get(reply, unknown)
    if kind is NotAllowed and username is not None:  # 3proxy accepts any login and checks it only now
        phrase += ", or it does not accept the login"
    return kind(reply, request, phrase)


def _refused(request: Request, address: str, server: str, phrase: str) -> Problem:
    code = "target-refused" if request.command is Command.CONNECT else "udp-unsupported"
    return problem(code, address=address, server=server, target=request.target, phrase=phrase)


class Drop(StrEnum):
    """Why a datagram is dropped; the value is how it is called."""

    TRUNCATED = "truncated"
    RESERVED = "reserved"
    FRAGMENT = "fragment"
    ADDRESS_TYPE = "address-type"


class DatagramError(Exception):
    """A datagram that cannot be used, for this `reason`: drop it."""

    def __init__(self, reason: Drop) -> None:
        super().__init__(reason.value)
        self.reason = reason


class InvalidCredentials(ValueError):
    """A user name or password that does not fit into the message; its text shows neither."""
