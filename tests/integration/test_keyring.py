"""Passwords in a real keyring on a session bus, and in keyrings that misbehave."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import Message, new_error, new_method_return

from fakes.session_bus import SessionBus, StandIn, session_bus
from fakes.session_keyring import MISSING, Keyring, gnome_keyring
from fakes.socks5_server import FakeServer
from integration.daemon import Daemon, section
from sockslocal import credentials
from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig
from sockslocal.credentials import messages, prompting
from sockslocal.errors import CredentialsError
from sockslocal.problems import Problem
from sockslocal.secret import Secret

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

CANARY = 'k@n:a/r%i"e\n\\ vögel🐤'

SECRET_SERVICE = "org.freedesktop.secrets"
PROMPTER = "org.gnome.keyring.SystemPrompter"


def server(name: str = "office", username: str = "ana") -> ServerConfig:
    """A server whose password is in the keyring, which is the default."""
    return ServerConfig(name=name, address=Endpoint("proxy.test", 1080), username=username)


def read(config: ServerConfig = server(), *, deadline: float = 20) -> str:  # noqa: B008  it is frozen
    """The password, as the daemon reads it."""
    return asyncio.run(credentials.read(config, deadline=deadline)).reveal()


def refusal(config: ServerConfig = server(), *, deadline: float = 20) -> Problem:  # noqa: B008  it is frozen
    """Why there is none."""
    with pytest.raises(CredentialsError) as caught:
        read(config, deadline=deadline)
    return caught.value.problem


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """The session bus of this test's processes."""
    with session_bus(tmp_path) as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


@pytest.fixture
def keyring(bus: SessionBus) -> Iterator[Keyring]:
    """The keyring of the person at this session, unlocked."""
    with gnome_keyring(bus) as started:
        yield started


@pytest.mark.parametrize("text", [CANARY, "", "x" * 255, "ä" * 127 + "x"])
def test_a_stored_password_is_read_until_it_is_deleted(keyring: Keyring, text: str) -> None:
    """Any character, up to 255 octets."""
    credentials.store("office", "ana", Secret(text))
    assert read() == text
    credentials.delete("office", "ana")
    assert refusal().code == "password-missing"


def test_a_stored_password_replaces_the_one_before(keyring: Keyring) -> None:
    """A second login is the one that counts."""
    credentials.store("office", "ana", Secret("old"))
    credentials.store("office", "ana", Secret("new"))
    assert read() == "new"


def test_servers_and_accounts_are_kept_apart(keyring: Keyring) -> None:
    """Each server and each of its user names has a password of its own."""
    credentials.store("office", "ana", Secret("one"))
    credentials.store("office", "ben", Secret("two"))
    credentials.store("home", "ana", Secret("three"))
    assert read() == "one"
    assert read(server(username="ben")) == "two"
    assert read(server("home")) == "three"
    assert refusal(server("home", "ben")).code == "password-missing"


def test_deleting_what_is_not_there_is_told(keyring: Keyring) -> None:
    """`logout` twice."""
    with pytest.raises(CredentialsError) as caught:
        credentials.delete("office", "ana")
    assert caught.value.problem.code == "password-missing"


@pytest.mark.parametrize("display", [None, ":77"])
def test_a_locked_keyring_is_told_without_a_prompt(
    bus: SessionBus, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    """At once, whether there is a display or not; after the unlock the password is read.

    The prompter stands for the window that nobody answers: `login` shows it and waits, the daemon does not.
    """
    if display:
        monkeypatch.setenv("DISPLAY", display)
    else:
        monkeypatch.delenv("DISPLAY", raising=False)
    with gnome_keyring(bus) as keyring, StandIn(bus, PROMPTER, lambda _: None) as prompter:
        credentials.store("office", "ana", Secret(CANARY))
        keyring.lock()
        problem = refusal(deadline=60)
        assert problem.code == "needs-unlock"
        assert "in a keyring that is locked" in problem.text
        assert prompter.calls == []
        store_in_vain(prompter)
        assert prompter.calls == ["BeginPrompting"]
        keyring.unlock()
        assert read() == CANARY


def store_in_vain(prompter: StandIn) -> None:
    """Nobody answers the prompt; on a busy machine it may take more than a moment until it is shown."""
    for deadline in (1, 4, 16):
        with pytest.raises(CredentialsError) as caught:
            credentials.store("office", "ana", Secret("new"), deadline=deadline)
        assert f"did not answer within {deadline} s" in caught.value.problem.text
        if prompter.calls:
            return


def proxy(port: int) -> str:
    """The table of a server whose password is in the keyring."""
    return section("server.office", address=f"127.0.0.1:{port}", username="ana", udp_probe="off")


def test_the_daemon_goes_on_once_the_keyring_is_unlocked(bus: SessionBus, daemon: Daemon) -> None:
    """By itself, and without a prompt: it may have been started before anybody had logged in."""
    with (
        gnome_keyring(bus) as keyring,
        StandIn(bus, PROMPTER, lambda _: None) as prompter,
        FakeServer(credentials=(b"ana", b"hunter2")) as fake,
    ):
        credentials.store("office", "ana", Secret("hunter2"))
        keyring.lock()
        daemon.configure(proxy(fake.port))
        daemon.start()
        daemon.wait_for(lambda status: status.servers["office"].state == "needs-unlock", seconds=30)
        keyring.unlock()
        daemon.wait_for(lambda status: status.servers["office"].state == "up", seconds=30)
        assert prompter.calls == []


def test_the_daemon_goes_on_once_there_is_a_keyring(bus: SessionBus, daemon: Daemon) -> None:
    """One that starts with the session, for which the daemon has not waited."""
    with gnome_keyring(bus):
        credentials.store("office", "ana", Secret("hunter2"))
    with FakeServer(credentials=(b"ana", b"hunter2")) as fake:
        daemon.configure(proxy(fake.port))
        daemon.start()
        status = daemon.wait_for(lambda status: status.servers["office"].problem is not None, seconds=30)
        assert "no keyring can be reached" in str(status.servers["office"].problem)
        with gnome_keyring(bus):
            daemon.wait_for(lambda status: status.servers["office"].state == "up", seconds=30)


def test_a_fresh_session_has_no_password_and_no_prompt(bus: SessionBus) -> None:
    """A keyring without a collection would ask for the password of a new one."""
    with gnome_keyring(bus) as keyring, StandIn(bus, PROMPTER, lambda _: None) as prompter:
        keyring.forget()
        assert refusal(deadline=60).code == "password-missing"
        assert prompter.calls == []


def test_a_bus_without_a_keyring_is_told(bus: SessionBus) -> None:
    """The remedy names what else there is."""
    problem = refusal()
    assert problem.code == "password-source-failed"
    assert "no keyring can be reached" in problem.text
    assert 'password_from = "file:/path"' in problem.remedy


def test_a_bus_that_is_gone_is_told(bus: SessionBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable outlives the session."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={bus.folder}/gone")
    assert "no keyring can be reached" in refusal().text


def test_a_keyring_that_never_answers_is_given_up(bus: SessionBus) -> None:
    """At the deadline; trying again later may help."""
    with StandIn(bus, SECRET_SERVICE, lambda _: None):
        problem = refusal(deadline=2)
    assert problem.code == "needs-unlock"
    assert "did not answer within 2 s" in problem.text


def test_a_keyring_that_denies_is_told(bus: SessionBus) -> None:
    """A sandbox or a policy may."""
    with StandIn(
        bus, SECRET_SERVICE, lambda call: new_error(call, "org.freedesktop.DBus.Error.AccessDenied")
    ):
        problem = refusal()
    assert problem.code == "password-source-failed"
    assert "DBusErrorResponse was raised" in problem.text


def test_a_keyring_that_vanishes_is_told(bus: SessionBus) -> None:
    """It crashes while it is asked: the bus says so, and nobody waits for the deadline."""
    with StandIn(bus, SECRET_SERVICE, lambda _: service.vanish()) as service:
        problem = refusal(deadline=60)
    assert problem.code == "password-source-failed"
    assert "did not answer" not in problem.text


class FakeKWallet:
    """Where the back end for KWallet finds its service."""

    bus_name = "org.kde.kwalletd5"
    object_path = "/modules/kwalletd5"


@pytest.mark.parametrize("is_open", [True, False])
def test_a_closed_wallet_is_told_without_a_prompt(bus: SessionBus, *, is_open: bool) -> None:
    """KWallet would show its window when it is opened; it is asked whether it is open before."""

    def respond(call: Message) -> Message:
        if not call.body:
            return new_method_return(call, "s", ("kdewallet",))
        return new_method_return(call, "b", (is_open and call.body == ("kdewallet",),))

    request = messages.Request(action="read", server="office", username="ana", deadline=20)
    with StandIn(bus, FakeKWallet.bus_name, respond) as wallets:
        if is_open:
            prompting.guard_kwallet(request, FakeKWallet())  # type: ignore[arg-type]
        else:
            with pytest.raises(CredentialsError) as caught:
                prompting.guard_kwallet(request, FakeKWallet())  # type: ignore[arg-type]
            assert caught.value.problem.code == "needs-unlock"
    assert wallets.calls == ["networkWallet", "isOpen"]
