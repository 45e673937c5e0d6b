import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import sockslocal
from sockslocal.problems import REGISTRY, ExitCode, Problem, is_of_the_way, problem
from sockslocal.socks5.messages import Stage

_SOURCES = sorted(Path(sockslocal.__file__).parent.rglob("*.py"))


def _names(template: str) -> set[str]:
    """What `template` has to be filled in with."""
    names = (name for _, name, _, _ in string.Formatter().parse(template) if name is not None)
    return {name.partition(".")[0] for name in names}


class _Use(NamedTuple):
    """A place in the sources that makes a problem."""

    place: str
    code: str
    details: set[str]
    is_open: bool
    """Whether details come from elsewhere too."""


def _uses() -> Iterator[_Use]:
    """All calls of `problem`, of `SomeError.of`, and of `server.problem`, which adds what it knows."""
    for path in _SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            is_method = isinstance(node.func, ast.Attribute)
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            code = node.args[0]
            if called in {"of", "problem"} and isinstance(code, ast.Constant) and isinstance(code.value, str):
                names = {keyword.arg for keyword in node.keywords}
                known = {"address", "server"} if is_method and called == "problem" else set()
                details = {name for name in names if name is not None} | known
                yield _Use(f"{path.name}:{node.lineno}", code.value, details, None in names)


def test_every_use_fills_its_row() -> None:
    """Whoever makes a problem names one that there is, and all that its texts need."""
    uses = [*_uses()]
    assert len(uses) >= 20
    unknown = [use for use in uses if use.code not in REGISTRY]
    assert unknown == []
    lacking = [use for use in uses if not use.is_open and not _needs_of(use) <= use.details]
    assert lacking == []


def _needs_of(use: _Use) -> set[str]:
    kind = REGISTRY[use.code]
    return _names(kind.text) | _names(kind.remedy)


@pytest.mark.parametrize("code", REGISTRY)
def test_row(code: str) -> None:
    """Every row has a stable code, a headline, a text and a remedy, and leaves nothing unfilled."""
    kind = REGISTRY[code]
    details: dict[str, object] = dict.fromkeys(_names(kind.text) | _names(kind.remedy), 5.0)
    made = problem(code, **{**details, "stage": Stage.REPLY})
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)
    assert (made.code, made.title) == (code, kind.title)
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    for text in (made.text, made.remedy):
        assert text
        assert not set(text) & {"{", "}"}
        assert not text.endswith(".")
        assert text.isprintable()


def test_names_are_quoted_and_lines_stay_lines() -> None:
    """What a problem is filled in with forges no line and paints no terminal; names stand in quotes."""
    made = problem("unknown-name", kind="forward", name="a\nb{known}@c", known="x\x1b[31m\n\u202e{name}")
    assert made.text == 'there is no forward "•••@c"; x\\x1b[31m\\n\\u202e{name}'
    assert made.remedy == "sockslocal forward list"


@pytest.mark.parametrize("code", ["auth-failed", "password-missing"])
def test_user_names_are_shown_whole(code: str) -> None:
    """They are no secrets, and what stands before an `@` is what tells users of one domain apart."""
    details = {"address": "a:1", "server": "office", "where": "the keyring", "remedy": "x"}
    assert '"ana@example.org"' in problem(code, username="ana@example.org", **details).text


@pytest.mark.parametrize("code", REGISTRY)
def test_a_remedy_is_a_command_or_a_sentence(code: str) -> None:
    """A command can be pasted as it stands; words round it would be its arguments."""
    remedy = REGISTRY[code].remedy
    assert not remedy.startswith("sockslocal ") or not set(remedy) & set("(),;")


def test_numbers_have_their_format() -> None:
    """A template may say how a number is shown."""
    made = problem("server-timeout", address="a:1", stage=Stage.REPLY, seconds=10.0, server="office")
    assert "within 10 s" in made.text


def test_silence_is_told_by_what_was_waited_for() -> None:
    """After a good login nobody doubts that it is the SOCKS5 server."""
    made = {
        stage: problem("server-timeout", address="a:1", stage=stage, seconds=5.0, server="office")
        for stage in (Stage.GREETING, Stage.AUTHENTICATION, Stage.REPLY)
    }
    assert made[Stage.REPLY].text == (
        "a:1 did not finish the reply within 5 s: its answer to the request was waited for"
    )
    assert "target" in made[Stage.REPLY].remedy
    assert [stage for stage, one in made.items() if "SOCKS5 server" in one.remedy] == [Stage.GREETING]


def test_unknown_code() -> None:
    """A problem that nobody registered is a mistake, and found at once."""
    with pytest.raises(KeyError):
        problem("no-such-problem")


def test_exit_codes() -> None:
    """Scripts rely on these numbers."""
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "NOT_RUNNING": 3,
        "CONFIG": 4,
        "CREDENTIALS": 5,
        "SERVER": 6,
        "PERMISSION": 7,
    }
    codes = {code: REGISTRY[code].exit_code for code in ("config-invalid", "not-running", "auth-failed")}
    assert [*codes.values()] == [ExitCode.CONFIG, ExitCode.NOT_RUNNING, ExitCode.CREDENTIALS]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("server-unreachable", True),
        ("auth-failed", True),
        ("needs-unlock", True),
        ("password-missing", True),
        ("udp-silent", True),
        ("tunnel-off", True),
        ("udp-remote-invalid", False),
        ("target-closed", False),
        ("other-user-refused", False),
        ("descriptors-exhausted", False),
    ],
)
def test_of_the_way(code: str, *, expected: bool) -> None:
    """What a server that is up again mends, and what it does not."""
    assert is_of_the_way(Problem(code, "", "", "")) == expected
