import sys
from pathlib import Path

import pytest
from keyring import errors
from keyring.backend import KeyringBackend

from sockslocal.credentials import child, keyrings
from sockslocal.credentials.messages import Action, Request
from sockslocal.problems import Problem
from sockslocal.secret import Secret


class FakeBackend(KeyringBackend):
    """A keyring in memory that can be told to raise."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own typing
        self.passwords: dict[tuple[str, str], str] = {}
        self.raises: Exception | None = None

    def _act(self) -> None:
        if self.raises:
            raise self.raises

    def get_password(self, service: str, username: str) -> str | None:
        self._act()
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._act()
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._act()
        if self.passwords.pop((service, username), None) is None:
            raise errors.PasswordDeleteError("not found")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    """The keyring of this machine, as far as the module under test knows."""
    fake = FakeBackend()
    monkeypatch.setattr(keyrings, "_pick", lambda _: ("fake", fake))
    return fake


def request(action: Action, username: str = "ana") -> Request:
    """A request about the password of `username` at `office`."""
    password = Secret("p@ß") if action == "store" else None
    return Request(action=action, server="office", username=username, deadline=20, password=password)


def refusal(action: Action) -> Problem:
    """The problem that comes of it."""
    problem = child.answer(request(action)).problem
    assert problem is not None
    return problem


def test_what_is_stored_is_read_until_it_is_deleted(backend: FakeBackend) -> None:
    """The service is named after the server, the account is the user name."""
    child.answer(request("store"))
    assert backend.passwords == {("sockslocal:office", "ana"): "p@ß"}
    assert child.answer(request("read")).password == Secret("p@ß")
    child.answer(request("delete"))
    assert backend.passwords == {}


@pytest.mark.parametrize("action", ["read", "delete"])
def test_what_is_not_there_is_missing(backend: FakeBackend, action: Action) -> None:
    """Another account's password is not taken for it; the remedy is to log in."""
    child.answer(request("store", "ben"))
    problem = refusal(action)
    assert problem.code == "password-missing"
    assert '"ana" at "office" in the keyring' in problem.text
    assert problem.remedy == "sockslocal login office"


@pytest.mark.parametrize("action", ["read", "store", "delete"])
def test_a_locked_keyring_needs_a_person(backend: FakeBackend, action: Action) -> None:
    """What back ends report as locked is worth another try later."""
    backend.raises = errors.KeyringLocked("k@n")
    assert refusal(action).code == "needs-unlock"


@pytest.mark.parametrize("raised", [errors.InitError("k@n"), errors.PasswordSetError("k@n")])
def test_a_keyring_that_takes_nothing_is_told(backend: FakeBackend, raised: Exception) -> None:
    """Without a desktop there may be nobody to create it; nothing is stored elsewhere instead."""
    backend.raises = raised
    problem = refusal("store")
    assert problem.code == "password-source-failed"
    assert "could not be stored in the keyring: it cannot be opened, or takes no passwords" in problem.text
    assert "k@n" not in str(problem)


@pytest.mark.parametrize("action", ["read", "store", "delete"])
def test_foreign_errors_are_told_by_class(backend: FakeBackend, action: Action) -> None:
    """Back ends raise what their platform raises, with whatever text."""
    backend.raises = MemoryError("k@n")
    problem = refusal(action)
    assert problem.code == "password-source-failed"
    assert "MemoryError was raised" in problem.text
    assert "k@n" not in str(problem)


def test_a_password_in_the_keyring_may_be_too_long(backend: FakeBackend) -> None:
    """Some other program may have put it there."""
    backend.passwords["sockslocal:office", "ana"] = "x" * 256
    assert refusal("read").code == "password-invalid"


def test_on_windows_a_password_stays_on_its_machine(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The back end's default would let it roam."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        child.answer(request("store"))
    assert vars(backend)["persist"] == "local machine"


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "freebsd14"])
def test_every_platform_has_only_its_own_keyrings(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of which works here, without a session bus; there is no null or plain-text one to fall back to."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        assert "no keyring can be reached" in refusal("read").text


def test_another_keyring_cannot_be_slipped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the variable nor the file that `keyring` heeds makes it import anything."""
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    configuration = tmp_path / "python_keyring" / "keyringrc.cfg"
    configuration.parent.mkdir()
    configuration.write_text(f"[backend]\ndefault-keyring=planted.Keyring\nkeyring-path={tmp_path}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "planted.Keyring")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "no keyring can be reached" in refusal("read").text
    assert not (tmp_path / "imported").exists()
