from pathlib import Path

import pytest

from fakes.person import Script
from fakes.trial import REPORT, FakeTrial, passwords
from sockslocal import credentials
from sockslocal.address import Endpoint
from sockslocal.cli.first_run import servers
from sockslocal.config.load import parse
from sockslocal.config.model import Config
from sockslocal.errors import CredentialsError, ServerError
from sockslocal.secret import Secret

NOTHING = Config(Path("config.toml"))

UNREACHABLE = ServerError.of(
    "server-unreachable", address="proxy:1080", server="office", reason="connection refused"
)
REJECTED = ServerError.of("auth-failed", address="proxy:1080", username="ana", remedy="x")

TABLES: servers.Tables = {
    "office": {"address": "proxy:1080", "username": "ana", "tls": True},
    "home": {"address": "[::1]:1080"},
}
BOTH = parse(
    '[server.office]\naddress = "proxy:1080"\nusername = "ana"\ntls = true\n'
    '[server.home]\naddress = "[::1]:1080"\n',
    Path("config.toml"),
)


def test_wrong_answers_are_asked_again(answers: Script, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence each; a port may be left out."""
    answers("", "socks5://proxy:1080", "proxy.example.net", "my proxy", "", "x" * 256, "")
    answer, report = servers.server(NOTHING, {}, FakeTrial(REPORT))
    assert (answer.name, answer.address) == ("proxy", Endpoint("proxy.example.net", 1080))
    assert (answer.username, answer.password, report) == (None, None, REPORT)
    said = capsys.readouterr().err
    for sentence in ("an address is needed", "is a URL", '"my proxy" is no name', "at most 255 octets"):
        assert sentence in said


def test_a_rejected_password_is_asked_again(
    answers: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the address; an empty one is none, and one that cannot be sent is told."""
    invalid = CredentialsError.of("password-invalid", server="office", reason="too long", remedy="x")
    typed = passwords("", "wrong", "right")
    faults = [invalid]

    def ask(server: str, username: str, *, margin: str) -> Secret:
        if faults:
            raise faults.pop()
        return typed(server, username, margin=margin)

    monkeypatch.setattr(credentials, "ask", ask)
    answers("10.0.0.1:1080", "", "ana", "", "")
    trial = FakeTrial(REJECTED, REPORT)
    answer, _ = servers.server(NOTHING, {}, trial)
    assert answer.name == "office"
    assert trial.passwords == [Secret("wrong"), Secret("right")]
    assert [wish.settings["password_from"] for wish in trial.tried] == ["prompt", "prompt"]
    said = capsys.readouterr().err
    for sentence in ("too long", "a password is needed", "rejected the user name", "in clear"):
        assert sentence in said


def test_another_address_keeps_what_was_typed(answers: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter is enough for user and password."""
    monkeypatch.setattr(credentials, "ask", passwords("right", ""))
    answers("proxy:1", "", "ana", "c", "127.0.0.1:1080", "")
    trial = FakeTrial(UNREACHABLE, REPORT)
    answer, _ = servers.server(NOTHING, {}, trial)
    assert trial.passwords == [Secret("right"), Secret("right")]
    assert answer.address == Endpoint("127.0.0.1", 1080)


def test_what_does_not_work_may_be_wanted(answers: Script) -> None:
    """It is kept only if the person says so; who wants neither leaves."""
    answers("proxy:1", "", "", "keep")
    answer, report = servers.server(NOTHING, {}, FakeTrial(UNREACHABLE))
    assert (answer.name, report) == ("proxy", None)
    answers("proxy:1", "", "", "quit")
    with pytest.raises(KeyboardInterrupt):
        servers.server(NOTHING, {}, FakeTrial(UNREACHABLE))


def test_what_is_there_is_proposed(answers: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter throughout keeps all of it, the password where it is."""
    monkeypatch.setattr(credentials, "ask", passwords(""))
    answers("", "", "")
    trial = FakeTrial(REPORT)
    answer, _ = servers.server(BOTH, TABLES, trial)
    assert answers.asked[:3] == [
        "  Which one [office]: ",
        "  Address, host:port [proxy:1080]: ",
        "  User name, - for none [ana]: ",
    ]
    assert (answer.password, answer.username) == (None, "ana")
    assert trial.tried[0].settings["tls"] is True
    assert trial.tried[0].settings["password_from"] is None


def test_another_one_is_added(answers: Script) -> None:
    """Under another name."""
    answers("lab", "lab:1080", "")
    answer, _ = servers.server(BOTH, TABLES, FakeTrial(REPORT))
    assert (answer.name, answer.table) == ("lab", {})


def test_another_user_needs_a_password(answers: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """And none at all needs none."""
    monkeypatch.setattr(credentials, "ask", passwords("", "right"))
    answers("", "", "ben")
    answer, _ = servers.server(BOTH, TABLES, FakeTrial(REPORT))
    assert (answer.username, answer.password) == ("ben", Secret("right"))
    answers("", "", "-")
    assert servers.server(BOTH, TABLES, FakeTrial(REPORT))[0].username is None


def test_the_end_of_the_input_at_the_password(answers: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is as good as Ctrl-C."""

    def ask(*_: object, **__: object) -> Secret:
        raise CredentialsError.of(
            "password-source-failed", server="o", done="read from", where="x", reason="x", remedy="x"
        )

    monkeypatch.setattr(credentials, "ask", ask)
    answers("proxy:1", "", "ana")
    with pytest.raises(KeyboardInterrupt):
        servers.server(NOTHING, {}, FakeTrial())
