import io

import pytest

from sockslocal import credentials
from sockslocal.address import Endpoint
from sockslocal.cli import prompts
from sockslocal.config.model import Config, PasswordSource, ServerConfig
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.secret import Secret

ASKED = PasswordSource("prompt")


@pytest.fixture
def config(paths: Paths) -> Config:
    """One server whose password is asked for, among others."""
    address = Endpoint("proxy", 1080)
    servers = [
        ServerConfig(name="office", address=address, username="ana", password_from=ASKED),
        ServerConfig(name="open", address=address),
        ServerConfig(name="stored", address=address, username="ana"),
    ]
    return Config(paths.config, {server.name: server for server in servers})


class Terminal(io.StringIO):
    """A stdin with a person."""

    def isatty(self) -> bool:
        return True


def test_only_what_is_not_stored_is_asked_for(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its server and its user."""
    asked = []

    def ask(server: str, username: str) -> Secret:
        asked.append((server, username))
        return Secret("hunter2")

    monkeypatch.setattr(credentials, "ask", ask)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert prompts.ask_all(config) == {"office": Secret("hunter2")}
    assert asked == [("office", "ana")]


def test_nobody_is_asked_where_nobody_is(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon says then that the password is missing."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert prompts.ask_all(config) == {}


def test_secrets_go_through_the_pipe_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are made of."""
    secrets = {"büro": Secret('p"ä@:/%\n\\'), "home": Secret("")}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(prompts.dump(secrets))))
    assert prompts.load_stdin() == secrets


@pytest.mark.parametrize(
    "content", [b"", b"hunter2", b'["hunter2"]', b'{"office": ["hunter2"]}', b"\xffhunter2"]
)
def test_what_is_no_secrets_is_not_repeated(content: bytes) -> None:
    """Neither in the error nor in what led to it."""
    with pytest.raises(SockslocalError) as caught:
        prompts.load(content)
    assert caught.value.problem.code == "usage"
    assert "hunter2" not in caught.value.problem.text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
