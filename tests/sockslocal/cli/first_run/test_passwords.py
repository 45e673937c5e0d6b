from pathlib import Path

import pytest

from fakes.person import Script
from sockslocal import credentials
from sockslocal.address import Endpoint
from sockslocal.cli.first_run import passwords
from sockslocal.cli.first_run.plan import ServerAnswer
from sockslocal.config.rewrite import Setting
from sockslocal.errors import CredentialsError
from sockslocal.secret import Secret

CONFIG = Path("/home/ana/config.toml")

LOCKED = CredentialsError.of("needs-unlock", server="office", reason="is locked")
MISSING = CredentialsError.of("password-missing", server="office", username="ana", where="x", remedy="x")
NONE = CredentialsError.of(
    "password-source-failed", server="office", done="read from", where="x", reason="x", remedy="x"
)


def answer(**table: Setting) -> ServerAnswer:
    """A server with a new password."""
    return ServerAnswer(
        name="office",
        address=Endpoint("proxy", 1080),
        username="ana",
        password=Secret("hunter2"),
        table=table,
    )


OUTCOMES: list[tuple[CredentialsError | None, str, str]] = [
    (None, "", "keyring"),
    (MISSING, "", "keyring"),
    (LOCKED, "unlock it", "keyring"),
    (NONE, "no keyring here", "file:/home/ana/office.password"),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_keyring_where_there_is_one(
    answers: Script,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    outcome: tuple[CredentialsError | None, str, str],
) -> None:
    """Locked or not; else a file is proposed."""
    error, said, place = outcome

    async def read(*_: object, **__: object) -> Secret:
        if error is not None:
            raise error
        return Secret("old")

    monkeypatch.setattr(credentials, "read", read)
    answers("")
    assert passwords.place(answer(), CONFIG) == place
    assert said in capsys.readouterr().err
    assert bool(answers.asked) == place.startswith("file:")


@pytest.mark.parametrize("kept", ["prompt", "file:/x"])
def test_where_it_is_kept_it_stays(kept: str) -> None:
    """If it can be put there."""
    assert passwords.place(answer(password_from=kept), CONFIG) == kept


def test_where_it_cannot_be_put(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command has its own; only its kind is told, for its arguments may be secret."""

    async def read(*_: object, **__: object) -> Secret:
        raise MISSING

    monkeypatch.setattr(credentials, "read", read)
    assert passwords.place(answer(password_from="command:pass --token=hunter3"), CONFIG) == "keyring"
    said = capsys.readouterr().err
    assert "given by a command" in said
    assert "hunter3" not in said


def test_nothing_is_asked_where_nothing_is_new() -> None:
    """Without a user, or with the password that is kept."""
    open_to_all = ServerAnswer(name="office", address=Endpoint("proxy", 1080), table={"password_from": "x"})
    assert passwords.place(open_to_all, CONFIG) is None
    kept = ServerAnswer(
        name="office",
        address=Endpoint("proxy", 1080),
        username="ana",
        table={"password_from": "command:pass"},
    )
    assert passwords.place(kept, CONFIG) == "command:pass"


@pytest.mark.parametrize(("text", "place"), [("a", "prompt"), ("k", "keyring"), ("f", "file:")])
def test_what_else_there_is(answers: Script, text: str, place: str) -> None:
    """To be asked each time, or the keyring once more."""
    answers(text)
    assert str(passwords.elsewhere(answer(), CONFIG, "keyring")).startswith(place)
