import getpass
import io
import warnings

import pytest

from sockslocal.credentials.asking import ask, from_stream
from sockslocal.errors import CredentialsError


def answering(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """A person who types `text`; the list fills with what was asked."""
    asked: list[str] = []

    def respond(prompt: str) -> str:
        asked.append(prompt)
        return text

    monkeypatch.setattr(getpass, "getpass", respond)
    return asked


def test_the_person_is_asked_for_this_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prompt tells user and server; what is typed is the password, spaces and all."""
    asked = answering(monkeypatch, " pässwörd ")
    assert ask("office", "ana").reveal() == " pässwörd "
    assert asked == ["Password of ana at office: "]


def test_too_long_a_password_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when the server is talked to."""
    answering(monkeypatch, "x" * 256)
    with pytest.raises(CredentialsError, match="256 octets"):
        ask("office", "ana")


def test_nothing_is_asked_where_it_would_be_echoed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal getpass warns and would go on with an open prompt; the remedy is --stdin."""

    def warn(_: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return "never read"

    monkeypatch.setattr(getpass, "getpass", warn)
    with pytest.raises(CredentialsError, match="nobody answered there") as caught:
        ask("office", "ana")
    assert caught.value.problem.remedy == "sockslocal login office --stdin < FILE"


def test_ctrl_d_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the input is told as an error, not taken for the empty password."""

    def leave(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", leave)
    with pytest.raises(CredentialsError, match="nobody answered there"):
        ask("office", "ana")


def test_a_piped_password_loses_one_newline() -> None:
    """As with files: `echo` adds one."""
    assert from_stream(io.BytesIO("p@ß\n".encode()), server="office").reveal() == "p@ß"


def test_an_endless_pipe_is_not_read_to_its_end() -> None:
    """What is too long is refused after 64 KiB."""
    with io.BytesIO(b"x" * 1_000_000) as stream:
        with pytest.raises(CredentialsError, match="65536 octets"):
            from_stream(stream, server="office")
        assert stream.tell() == 65536
