import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.control import status
from sockslocal.control import messages
from sockslocal.control.messages import Answer, BadRequestError, Request
from sockslocal.errors import ControlError
from sockslocal.problems import problem

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values))
def test_whatever_comes_is_a_request_or_a_bad_request(line: bytes) -> None:
    """No line, however wrong, raises anything but BadRequestError."""
    with contextlib.suppress(BadRequestError):
        messages.decode_request(line)


@given(st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values))
def test_whatever_comes_is_an_answer_or_a_control_error(line: bytes) -> None:
    """No line, however wrong, raises anything but ControlError in the client."""
    with contextlib.suppress(ControlError):
        messages.decode_answer(line)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b'{"id": 1, "do": "status"}', Request(1, "status", {})),
        (b'{"id": 1, "do": "forward.off", "name": "db"}', Request(1, "forward.off", {"name": "db"})),
        (b'{"do": "on", "id": 0}\n', Request(0, "on", {"names": []})),
        (b'{"id": 3, "do": "off", "names": ["a", "b"]}', Request(3, "off", {"names": ["a", "b"]})),
        (b'{"id": 3, "do": "stop"}', Request(3, "stop", {"grace": 5.0})),
        (b'{"id": 3, "do": "stop", "grace": 2}', Request(3, "stop", {"grace": 2.0})),
        (
            b'{"id": 3, "do": "dns.query", "name": "a.b"}',
            Request(3, "dns.query", {"name": "a.b", "type": "A"}),
        ),
        (
            b'{"id": 4, "do": "credentials.changed", "server": "x"}',
            Request(4, "credentials.changed", {"server": "x"}),
        ),
    ],
)
def test_requests_are_read_with_their_defaults(line: bytes, request_: Request) -> None:
    """A request's parameters come out checked, and with the defaults filled in."""
    assert messages.decode_request(line) == request_


@pytest.mark.parametrize(
    ("line", "request_id", "text"),
    [
        (b"", None, "cannot be read"),
        (b"GET / HTTP/1.1\r\n", None, "cannot be read"),
        (b"\xff\xfe", None, "cannot be read"),
        (b"[]", None, "Expected `object`, got `array`"),
        (b"null", None, "Expected `object`, got `null`"),
        (b'{"do": "status"}', None, "`id`"),
        (b'{"id": "1", "do": "status"}', None, "$.id"),
        (b'{"id": true, "do": "status"}', None, "$.id"),
        (b'{"id": -1, "do": "status"}', None, "$.id"),
        (b'{"id": 9007199254740992, "do": "status"}', None, "$.id"),
        (b'{"id": 1}', None, "`do`"),
        (b'{"id": 1, "do": 2}', None, "$.do"),
        (b'{"id": 7, "do": "shutdown"}', 7, "there is no request 'shutdown'"),
        (b'{"id": 7, "do": "status", "password": "x"}', 7, "unknown field `password`"),
        (b'{"id": 7, "do": "on", "names": "db"}', 7, "$.names"),
        (b'{"id": 7, "do": "on", "names": [1]}', 7, "$.names[0]"),
        (b'{"id": 7, "do": "on", "names": [""]}', 7, "$.names[0]"),
        (b'{"id": 7, "do": "forward.on"}', 7, "`name`"),
        (b'{"id": 7, "do": "forward.on", "name": null}', 7, "$.name"),
        (b'{"id": 7, "do": "stop", "grace": -1}', 7, "$.grace"),
        (b'{"id": 7, "do": "stop", "grace": 1e9}', 7, "$.grace"),
        (b'{"id": 7, "do": "stop", "grace": 1e999}', 7, "range"),
        (b'{"id": 7, "do": "stop", "grace": "5s"}', 7, "$.grace"),
        (b'{"id": 1, "do": "' + b"x" * 70_000 + b'"}', None, "longer than 65536 bytes"),
        (b'{"x": ' + b"[" * 60_000, None, "nested too deeply"),
    ],
)
def test_bad_requests_say_what_is_wrong(line: bytes, request_id: int | None, text: str) -> None:
    """The problem names the field, and the id is there as soon as it could be read."""
    with pytest.raises(BadRequestError) as caught:
        messages.decode_request(line)
    assert text in caught.value.problem.text
    assert caught.value.request_id == request_id


def test_the_text_of_a_bad_request_is_bounded() -> None:
    """A line of 60 KB is not sent back within the error."""
    with pytest.raises(BadRequestError) as caught:
        messages.decode_request(b'{"id": 1, "do": "status", "' + b"k" * 60_000 + b'": 1}')
    assert len(caught.value.problem.text) <= 300


@pytest.mark.parametrize("do", sorted(messages.VERBS))
def test_requests_survive_the_line(do: str) -> None:
    """What is encoded is read again as the same request."""
    needed: dict[str, dict[str, Any]] = {
        "on": {"names": ["db"]},
        "off": {"names": []},
        "forward.on": {"name": "db"},
        "forward.off": {"name": "db"},
        "stop": {"grace": 0.5},
        "credentials.changed": {"server": "büro"},
        "server.test": {"name": "büro"},
        "dns.query": {"name": "a.example", "type": "AAAA"},
    }
    request = Request(5, do, needed.get(do, {}))
    line = messages.encode_request(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert messages.decode_request(line) == request


@pytest.mark.parametrize(
    ("do", "parameters"),
    [
        ("status", {"extra": 1}),
        ("shutdown", {}),
        ("forward.on", {"name": "\udcff"}),
        ("forward.on", {"name": object()}),
        ("on", {"names": ["x" * 250] * 1000}),
    ],
)
def test_requests_that_would_be_refused_are_not_sent(do: str, parameters: dict[str, Any]) -> None:
    """The client finds its own mistakes, texts that are no Unicode among them."""
    with pytest.raises(BadRequestError):
        messages.encode_request(Request(1, do, parameters))


def test_answers_survive_the_line() -> None:
    """A value, an error, a state, an event and a heartbeat are told apart by the reader."""
    wrong = problem("not-running")
    state = status()
    ok = messages.decode_answer(messages.encode_answer(1, {"removed": 3}))
    assert (ok.id, ok.ok, ok.error) == (1, {"removed": 3}, None)
    assert messages.decode_answer(messages.encode_answer(1, None)).ok is None
    assert messages.decode_answer(messages.encode_error(None, wrong)) == Answer(error=wrong)
    first = messages.decode_answer(messages.encode_state(2, 7, state, first=True))
    assert (first.id, first.seq, messages.as_status(first.ok)) == (2, 7, state)
    later = messages.decode_answer(messages.encode_state(2, 9, state, first=False))
    assert (later.id, later.seq, messages.as_status(later.event)) == (2, 9, state)
    assert messages.decode_answer(messages.encode_heartbeat(2, 9)) == Answer(id=2, seq=9)


def test_unknown_keys_of_an_answer_are_skipped() -> None:
    """A newer daemon may say more."""
    answer = messages.decode_answer(b'{"id": 1, "ok": true, "news": []}')
    assert answer == Answer(id=1, ok=True)


DEEP = b'{"ok":' + b"[" * 60_000


@pytest.mark.parametrize("line", [b"", b"[]", b'{"id": "x"}', b'{"error": "text"}', DEEP])
def test_what_is_no_answer_is_an_internal_error(line: bytes) -> None:
    """A daemon of some other protocol is an error a person can read."""
    with pytest.raises(ControlError, match="the daemon's answer cannot be read"):
        messages.decode_answer(line)


def test_what_is_no_status_is_an_internal_error() -> None:
    """A daemon of some other version is an error a person can read."""
    with pytest.raises(ControlError, match=r"the daemon's status cannot be read: .*\$"):
        messages.as_status({"daemon": 1})


def test_an_answer_has_a_bound() -> None:
    """An answer that no client would read is not sent."""
    with pytest.raises(ValueError, match="longer than"):
        messages.encode_answer(1, "x" * messages.MAX_ANSWER)
