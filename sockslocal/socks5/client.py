"""The client's half of the handshake: greeting, login, request (RFC 1928 §3, §4, §6; RFC 1929)."""

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache

from sockslocal.address import Endpoint
from sockslocal.secret import Secret
from sockslocal.socks5.errors import (
    AuthenticationRejected,
    ConnectionClosed,
    InvalidCredentials,
    MethodNotOffered,
    NoAcceptableMethod,
    NotSocks5,
    ProtocolError,
    RemoteError,
    refusal,
)
from sockslocal.socks5.messages import (
    CACHED_ADDRESSES,
    LOGIN_VERSION,
    MAX_FIELD_OCTETS,
    VERSION,
    Method,
    Request,
    Stage,
    address_end,
    decode_address,
    encode_address,
)

# Looked up several times per connection; an enum's members are slower to reach than a module's names.
_GREETING, _AUTHENTICATION, _READY, _REPLY, _DONE = Stage
_NO_AUTHENTICATION, _USERNAME_PASSWORD = int(Method.NO_AUTHENTICATION), int(Method.USERNAME_PASSWORD)

_LOGIN_VERSIONS = (LOGIN_VERSION, VERSION)
"""Some servers answer to the login with the version of SOCKS."""

_REPLY_ADDRESS = 3
"""VER REP RSV, then the address field."""

_OTHER_PROTOCOLS = (
    (b"HTTP/", "it answers as an HTTP server"),
    (b"SSH-", "it answers as an SSH server"),
    (b"\x15\x03", "it answers as a TLS server"),
    (b"\x16\x03", "it answers as a TLS server"),
    *((bytes((0, reply)), "it answers as a SOCKS4 server") for reply in range(0x5A, 0x5E)),
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password, sent as they are: never trimmed, up to 255 octets of UTF-8 each.

    Either may be empty, which some servers want and others refuse. Raises InvalidCredentials.
    """

    username: str
    password: Secret
    message: bytes = field(init=False, repr=False, compare=False)
    """The login as it is sent (RFC 1929 §2), made once for all connections."""

    def __post_init__(self) -> None:
        username = _sized(self.username, "user name")
        password = _sized(self.password.reveal(), "password")
        object.__setattr__(self, "message", b"\x01" + username + password)


def _sized(text: str, what: str) -> bytes:
    try:
        octets = text.encode()
    except UnicodeEncodeError:  # its own text would show the password
        raise InvalidCredentials(f"the {what} is not valid Unicode") from None
    if len(octets) > MAX_FIELD_OCTETS:
        raise InvalidCredentials(f"the {what} has {len(octets)} octets, more than {MAX_FIELD_OCTETS}")
    return bytes((len(octets),)) + octets


class Pipelining(Enum):
    """Which messages do not wait for the answer to the one before. Only some servers bear any of it."""

    NONE = auto()
    SEMI = auto()
    """Login and request leave together; without a login there is nothing to join."""
    FULL = auto()
    """All leave together."""


_SEMI, _FULL = Pipelining.SEMI, Pipelining.FULL


@lru_cache(CACHED_ADDRESSES)
def encode_request(request: Request) -> bytes:
    """VER CMD RSV and the address field. Raises AddressError as `encode_address`."""
    return bytes((VERSION, request.command, 0)) + encode_address(request.target)


class ClientHandshake:
    """Says what to send and learns from what is received, in whatever pieces that comes.

    Send `start()`, then feed each received piece to `receive()` and send what it returns, until the stage is
    DONE; without a request, READY. What then lies in `trailing` belongs to the tunnel. Each returned message,
    or several that are pipelined, is to leave as one send. A RemoteError ends the handshake: close the
    connection.

    With credentials only the login is offered, so that nobody can pose as the server by not asking for it.
    Raises AddressError for a request that cannot be sent.
    """

    __slots__ = (
        "_asking",
        "_bound",
        "_buffer",
        "_credentials",
        "_greeting",
        "_login",
        "_request",
        "stage",
        "trailing",
    )

    def __init__(
        self,
        credentials: Credentials | None,
        request: Request | None,
        pipelining: Pipelining = Pipelining.NONE,
    ) -> None:
        self.stage: Stage = _GREETING
        self.trailing = b""
        self._credentials = credentials
        self._buffer = b""
        self._bound = b""
        self._request = request
        self._greeting = b"\x05\x01\x02" if credentials else b"\x05\x01\x00"
        self._login = credentials.message if credentials else b""
        self._asking = encode_request(request) if request else b""
        if pipelining is _FULL:
            self._greeting += self._login + self._asking
            self._login = self._asking = b""
        elif pipelining is _SEMI and credentials:
            self._login += self._asking
            self._asking = b""

    @property
    def partial(self) -> bool:
        """Whether a message has begun to arrive but is not complete."""
        return bool(self._buffer)

    @property
    def bound(self) -> Endpoint | None:
        """What the reply names, None before it: a UDP association's relay; of no use for a connection."""
        return decode_address(self._bound) if self._bound else None

    def start(self) -> bytes:
        """The greeting."""
        return self._greeting

    def receive(self, data: bytes) -> bytes:
        """Take what the server sent, return what to send next, if anything. Raises RemoteError."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        stage = self.stage
        if stage is _REPLY:
            self._read_reply(data)
            return b""
        if stage is _AUTHENTICATION:
            return self._read_status(data)
        if stage is _GREETING:
            return self._read_method(data)
        if stage is _READY:
            self._expect_nothing(data)
            return b""
        raise RuntimeError("the handshake is over")

    def eof(self) -> RemoteError:
        """The error to raise when the server closes the connection now."""
        asked = self.stage in (_REPLY, _DONE)
        return ConnectionClosed(self.stage, self._username, self._request if asked else None)

    def _read_method(self, data: bytes) -> bytes:
        if data and data[0] != VERSION:
            error = _not_socks5(data)
            if error:
                raise error
        elif len(data) >= 2:
            return self._choose(data[1], data[2:])
        self._buffer = data
        return b""

    def _choose(self, method: int, rest: bytes) -> bytes:
        credentials = self._credentials
        if credentials and method == _USERNAME_PASSWORD:
            self.stage = _AUTHENTICATION
            return self._login + self._read_status(rest) if rest else self._login
        if not credentials and method == _NO_AUTHENTICATION:
            return self._log_in(rest)
        if method == Method.NO_ACCEPTABLE:
            raise NoAcceptableMethod(self._username)
        raise MethodNotOffered(self._username, method)

    def _read_status(self, data: bytes) -> bytes:
        if data and data[0] not in _LOGIN_VERSIONS:
            raise ProtocolError(f"its answer to the login has version {data[0]}, not 1")
        if len(data) < 2:
            self._buffer = data
            return b""
        if data[1] != 0:
            raise AuthenticationRejected(self._username, data[1])
        return self._log_in(data[2:])

    def _log_in(self, rest: bytes) -> bytes:
        """The server lets us in; gives the request, if there is one that has not left yet.

        Then `rest` cannot know of it. That is no reason to refuse it: cut elsewhere, it would have come
        after the request had left.
        """
        if self._request:
            self.stage = _REPLY
            if rest:
                self._read_reply(rest)
        else:
            self.stage = _READY
            self._expect_nothing(rest)
        return self._asking

    def _expect_nothing(self, data: bytes) -> None:
        if data:
            raise ProtocolError("it sent data before it was asked for anything")

    def _read_reply(self, data: bytes) -> None:
        if data and data[0] != VERSION:
            raise ProtocolError(f"its reply has version {data[0]}, not 5")
        # Nothing beyond REP is read of a refusal: some servers send no address with it, or a broken one.
        if len(data) >= 2 and data[1] != 0:
            assert self._request is not None  # noqa: S101  only one that was sent is replied to
            raise refusal(data[1], self._request, self._username)
        if len(data) < 5:
            self._buffer = data
            return
        end = address_end(data, _REPLY_ADDRESS)
        if end is None:
            raise ProtocolError(f"its reply has an address of the unknown type {data[_REPLY_ADDRESS]}")
        if len(data) < end:
            self._buffer = data
            return
        self._bound = data[_REPLY_ADDRESS:end]
        self.trailing = data[end:]
        self.stage = _DONE

    @property
    def _username(self) -> str | None:
        return self._credentials.username if self._credentials else None


def _not_socks5(data: bytes) -> NotSocks5 | None:
    """The error for what does not begin as SOCKS5 does, None while it is too short to tell whose it is."""
    for beginning, phrase in _OTHER_PROTOCOLS:
        if data.startswith(beginning):
            return NotSocks5(phrase)
        if beginning.startswith(data):
            return None
    return NotSocks5(f"its answer begins with {data[0]}, not 5")
