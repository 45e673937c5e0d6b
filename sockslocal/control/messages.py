"""The lines of the control protocol, and nothing that moves them.

    request     {"id": 1, "do": "forward.off", "name": "db"}
    answer      {"id": 1, "ok": …}   or   {"id": 1, "error": {"code", "title", "text", "remedy"}}
    watch       {"id": 2, "ok": STATUS, "seq": 7}, then for later states {"id": 2, "event": STATUS, "seq": 9}
    heartbeat   {"id": 2, "seq": 9}: nothing new, and the daemon lives

Sequence numbers only grow; a gap means states that nobody was told of, never one that is half told. Errors
that belong to no readable request have the id null. Keys a reader does not know are to be skipped in answers;
in requests they are refused, for there they are mistakes. No secret is ever part of a message.
"""

from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from sockslocal.errors import ControlError
from sockslocal.problems import Problem, problem
from sockslocal.status import Status

MAX_REQUEST = 64 * 1024
"""Octets of a request line, its newline included."""

MAX_ANSWER = 4 * 1024 * 1024
"""Octets of an answer line, its newline included."""

MAX_GRACE = 3600.0
"""Seconds that `stop` may be asked to wait for connections to end."""

_LONGEST_REASON = 300  # it may quote what came
_MAX_ID = 2**53 - 1  # what every JSON implementation keeps exact
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
_T = TypeVar("_T")


class BadRequestError(ControlError):
    """A line that is no request; `request_id` is its id where that much could be read."""

    def __init__(self, reason: str, request_id: int | None = None) -> None:
        super().__init__(problem("bad-request", reason=reason[:_LONGEST_REASON]))
        self.request_id = request_id


class _Head(msgspec.Struct):
    id: Annotated[int, msgspec.Meta(ge=0, le=_MAX_ID)]
    do: str


class _Plain(_Head, forbid_unknown_fields=True):
    pass


class _Names(_Plain):
    names: Annotated[list[_Name], msgspec.Meta(max_length=1000)] = []


class _Named(_Plain):
    name: _Name


class _Server(_Plain):
    server: _Name


class _Stop(_Plain):
    grace: Annotated[float, msgspec.Meta(ge=0, le=MAX_GRACE)] = 5.0


class _Query(_Plain):
    name: str  # what can be asked, the resolver knows
    type: str = "A"


VERBS: dict[str, type[_Plain]] = {
    "status": _Plain,
    "watch": _Plain,
    "on": _Names,
    "off": _Names,
    "forward.on": _Named,
    "forward.off": _Named,
    "reload": _Plain,
    "stop": _Stop,
    "credentials.changed": _Server,
    "server.test": _Named,
    "dns.query": _Query,
    "dns.flush": _Plain,
    "dns.status": _Plain,
}
"""What can be asked for, each with the shape of its parameters."""


class Request(NamedTuple):
    """What a client asks for; `parameters` are checked, with the defaults filled in."""

    id: int
    do: str
    parameters: dict[str, Any]


class Answer(msgspec.Struct, frozen=True):
    """A line from the daemon; exactly one of `ok`, `error` and `event` is set, or none in a heartbeat."""

    id: int | None = None
    seq: int | None = None
    ok: Any = msgspec.UNSET
    error: Problem | None = None
    event: Any = msgspec.UNSET


def _decode(line: bytes, shape: type[_T], about: str, request_id: int | None = None) -> _T:
    try:
        return msgspec.json.decode(line, type=shape)
    except msgspec.DecodeError as error:
        raise BadRequestError(f"{about}: {error}", request_id) from None
    except RecursionError:
        raise BadRequestError(f"{about}: it is nested too deeply", request_id) from None


def decode_request(line: bytes) -> Request:
    """The request that `line` is; raises BadRequestError for anything else."""
    if len(line) > MAX_REQUEST:
        raise BadRequestError(f"the request is longer than {MAX_REQUEST} bytes")
    head = _decode(line, _Head, "the request cannot be read")
    verb = VERBS.get(head.do)
    if verb is None:
        raise BadRequestError(f"there is no request {head.do[:64]!r}", head.id)
    body = _decode(line, verb, f"the request {head.do!r} cannot be used", head.id)
    names = [name for name in verb.__struct_fields__ if name not in _Head.__struct_fields__]
    return Request(head.id, head.do, {name: getattr(body, name) for name in names})


def encode_request(request: Request) -> bytes:
    """`request` as a line; raises BadRequestError for what the daemon would refuse too."""
    try:
        line = _line({"id": request.id, "do": request.do, **request.parameters})
    except (UnicodeEncodeError, TypeError) as error:
        raise BadRequestError(f"the request {request.do!r} cannot be written: {error}") from None
    decode_request(line)
    return line


def encode_answer(request_id: int, ok: object) -> bytes:
    """The answer `ok`; raises TypeError or ValueError where it cannot be sent."""
    return _line({"id": request_id, "ok": ok})


def encode_error(request_id: int | None, error: Problem) -> bytes:
    """The answer that something is wrong."""
    return _line({"id": request_id, "error": error})


def encode_state(request_id: int, seq: int, status: Status, *, first: bool) -> bytes:
    """A state for one who watches: the first is the answer, the later ones are events."""
    return _line({"id": request_id, "ok" if first else "event": status, "seq": seq})


def encode_heartbeat(request_id: int, seq: int) -> bytes:
    """The sign of life between two states."""
    return _line({"id": request_id, "seq": seq})


def _line(message: dict[str, Any]) -> bytes:
    line = msgspec.json.encode(message) + b"\n"
    if len(line) > MAX_ANSWER:
        raise ValueError(f"a line of {len(line)} bytes is longer than {MAX_ANSWER}")
    return line


def decode_answer(line: bytes) -> Answer:
    """The answer that `line` is; raises ControlError where the daemon wrote something else."""
    try:
        return msgspec.json.decode(line, type=Answer)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ControlError.of("internal", reason=f"the daemon's answer cannot be read: {error}") from None


def as_status(state: object) -> Status:
    """The state that an answer carries, typed; raises ControlError where it is none."""
    try:
        return msgspec.convert(state, Status)
    except msgspec.ValidationError as error:
        raise ControlError.of("internal", reason=f"the daemon's status cannot be read: {error}") from None
