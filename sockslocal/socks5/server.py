"""The server's half of the handshake, for the demo's embedded server and for tests (RFC 1928, RFC 1929)."""

from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.socks5.errors import ProtocolError
from sockslocal.socks5.messages import (
    LOGIN_VERSION,
    VERSION,
    Command,
    Method,
    Reply,
    Request,
    Stage,
    address_end,
    decode_address,
    encode_address,
)

Authenticate = Callable[[bytes, bytes], bool]
"""Whether a user name and a password, as they were sent, may pass."""

_ADDRESS = 3
"""VER CMD RSV of a request, then the address field."""

_COMMANDS = (Command.CONNECT, Command.UDP_ASSOCIATE)

_UNSPECIFIED = Endpoint("0.0.0.0", 0)  # noqa: S104  what a reply names that has nothing to name


class ServerHandshake:
    """Answers a client, in whatever pieces it speaks.

    Feed each received piece to `receive()` and send what that returns, until there is a `request`; answer it
    with `reply()`. What then lies in `trailing`, the client has sent ahead to its target. Once `closing` is
    set, close after sending. A ProtocolError leaves nothing to say: close. It keeps 513 octets at most.
    """

    __slots__ = ("_authenticate", "_buffer", "closing", "request", "stage", "trailing")

    def __init__(self, authenticate: Authenticate | None) -> None:
        self.stage = Stage.GREETING
        self.request: Request | None = None
        self.trailing = b""
        self.closing = False
        self._authenticate = authenticate
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """Take what the client sent, return the answers to it. Raises ProtocolError."""
        if self.stage in (Stage.REPLY, Stage.DONE):
            raise RuntimeError("the handshake takes no more")
        self._buffer += data
        answers = b""
        while (answer := self._answer()) is not None:
            answers += answer
        return answers

    def reply(self, reply: Reply, bound: Endpoint = _UNSPECIFIED) -> bytes:
        """The answer to the request; all but SUCCEEDED end the connection."""
        if self.stage is not Stage.REPLY:
            raise RuntimeError("there is no request to reply to")
        message = bytes((VERSION, reply, 0)) + encode_address(bound)
        self.stage = Stage.DONE
        self.closing = reply is not Reply.SUCCEEDED
        return message

    def _answer(self) -> bytes | None:
        """Take one message out of the buffer and answer it; None where none is complete or expected."""
        match self.stage:
            case Stage.GREETING:
                return self._read_greeting()
            case Stage.AUTHENTICATION:
                return self._read_login()
            case Stage.READY:
                return self._read_request()
            case _:
                return None

    def _read_greeting(self) -> bytes | None:
        data = self._buffer
        _check_version(data, VERSION, "greeting")
        if len(data) < 2 or len(data) < 2 + data[1]:
            return None
        methods = self._take(2 + data[1])[2:]
        method = Method.USERNAME_PASSWORD if self._authenticate else Method.NO_AUTHENTICATION
        if method not in methods:
            return self._close(bytes((VERSION, Method.NO_ACCEPTABLE)))
        self.stage = Stage.AUTHENTICATION if self._authenticate else Stage.READY
        return bytes((VERSION, method))

    def _read_login(self) -> bytes | None:
        data = self._buffer
        _check_version(data, LOGIN_VERSION, "login")
        if len(data) < 2:
            return None
        password_at = 2 + data[1]
        if len(data) <= password_at or len(data) < password_at + 1 + data[password_at]:
            return None
        login = self._take(password_at + 1 + data[password_at])
        username, password = login[2:password_at], login[password_at + 1 :]
        if not (self._authenticate and self._authenticate(username, password)):
            return self._close(bytes((LOGIN_VERSION, 1)))
        self.stage = Stage.READY
        return bytes((LOGIN_VERSION, 0))

    def _read_request(self) -> bytes | None:
        data = self._buffer
        _check_version(data, VERSION, "request")
        if len(data) < 5:
            return None
        end = address_end(data, _ADDRESS)
        if end is None:
            return self._refuse(Reply.ADDRESS_TYPE_NOT_SUPPORTED)
        if len(data) < end:
            return None
        octets = self._take(end)
        target = decode_address(octets[_ADDRESS:])
        if octets[1] not in _COMMANDS:
            return self._refuse(Reply.COMMAND_NOT_SUPPORTED)
        command = Command(octets[1])
        if command is Command.CONNECT and not target.host:
            return self._refuse(Reply.HOST_UNREACHABLE)
        self.request = Request(command, target)
        self.trailing = self._buffer
        self.stage = Stage.REPLY
        return b""

    def _take(self, length: int) -> bytes:
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def _refuse(self, reply: Reply) -> bytes:
        self.stage = Stage.REPLY
        return self.reply(reply)

    def _close(self, answer: bytes) -> bytes:
        self.stage = Stage.DONE
        self.closing = True
        return answer


def _check_version(data: bytes, version: int, message: str) -> None:
    if data and data[0] != version:
        raise ProtocolError(f"its {message} has version {data[0]}, not {version}")
