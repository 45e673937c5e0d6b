import pytest

from fakes.engine import FakeClock, Told
from sockslocal.errors import CredentialsError, ServerError, SockslocalError
from sockslocal.net import login as module
from sockslocal.net.login import FIRST_PAUSE_S, LAST_PAUSE_S, MAX_WAITING, Login
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials

LOCKED = CredentialsError.of("needs-unlock", server="office", reason="is locked")
REJECTED = ServerError.of("auth-failed", address="proxy.test:1080", remedy="sockslocal login", username="ana")


class Wanted:
    """Whether reading the password begins anew when a dial wants it; counts how often one did."""

    def __init__(self) -> None:
        self.begins = False
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.begins


def ana(password: str = "secret") -> Credentials:
    """A user's credentials."""
    return Credentials("ana", Secret(password))


def made(clock: FakeClock | None = None) -> tuple[Login, Wanted]:
    """A login whose password is not known yet."""
    wanted = Wanted()
    return Login("office", clock or FakeClock(), wanted), wanted


def answer(login: Login) -> object:
    """What one is told who asks now; None also for who has to wait."""
    told = Told()
    login.find(told)
    return told.last if told.calls else None


def test_dials_wait_for_the_password() -> None:
    """All are told once it is there, and whoever asks later at once."""
    login, wanted = made()
    first, second = Told(), Told()
    login.find(first)
    login.find(second)
    assert first.calls == []
    credentials = ana()
    login.settle(credentials)
    assert first.calls == second.calls == [credentials]
    assert answer(login) is credentials
    assert wanted.asked == 0


def test_no_login_is_an_answer_too() -> None:
    """Without a user name nobody waits."""
    login, _ = made()
    login.settle(None)
    told = Told()
    login.find(told)
    assert told.calls == [None]


def test_who_was_dropped_is_not_told() -> None:
    """A dial that is cancelled waits no longer; dropping one who never waited does no harm."""
    login, _ = made()
    told, dropped = Told(), Told()
    login.find(dropped)
    login.find(told)
    login.drop(dropped)
    login.drop(Told())
    login.settle(None)
    assert (told.calls, dropped.calls) == ([None], [])


def test_a_password_that_cannot_be_had_fails_dials_at_once() -> None:
    """Each asks for a new attempt; where there is none, the dial hears the reason."""
    login, wanted = made()
    told = Told()
    login.find(told)
    login.settle(LOCKED)
    assert told.calls == [LOCKED]
    assert answer(login) is LOCKED
    assert wanted.asked == 1


def test_a_dial_waits_for_an_attempt_that_it_caused() -> None:
    """Where reading began anew, its outcome is the answer."""
    login, wanted = made()
    login.settle(LOCKED)
    wanted.begins = True
    told = Told()
    login.find(told)
    assert told.calls == []
    credentials = ana()
    login.settle(credentials)
    assert told.calls == [credentials]


def test_dials_wait_when_the_password_may_be_another() -> None:
    """After `forget` nobody is given the old one."""
    login, _ = made()
    login.settle(ana("old"))
    login.forget()
    told = Told()
    login.find(told)
    assert told.calls == []
    new = ana("new")
    login.settle(new)
    assert told.calls == [new]


def test_waiting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many hears so at once; dropped ones make room."""
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    login, _ = made()
    first, second, third = Told(), Told(), Told()
    for told in (first, second, third):
        login.find(told)
    (error,) = third.calls
    assert error.problem.code == "password-awaited"
    assert "2 connections wait" in error.problem.text
    login.drop(first)
    login.find(third)
    login.settle(None)
    assert second.calls == [None]
    assert third.calls == [error, None]
    assert MAX_WAITING < 10_000


def test_a_rejected_login_is_not_repeated_for_a_while() -> None:
    """Dials hear of the rejection without asking the server, each time for longer."""
    clock = FakeClock()
    login, _ = made(clock)
    credentials = ana()
    login.settle(credentials)
    pause = FIRST_PAUSE_S
    for _ in range(10):
        assert login.reject(credentials, REJECTED)
        clock.advance(pause - 0.1)
        assert answer(login) is REJECTED
        clock.advance(0.1)
        assert answer(login) is credentials
        pause = min(2 * pause, LAST_PAUSE_S)
    assert pause == LAST_PAUSE_S


def test_one_dial_tries_for_all_after_the_pause() -> None:
    """The others hear of the old rejection until it is known how that one fared, or it took too long."""
    clock = FakeClock()
    login, _ = made(clock)
    credentials = ana()
    login.settle(credentials)
    login.reject(credentials, REJECTED)
    clock.advance(FIRST_PAUSE_S)
    assert [answer(login) for _ in range(3)] == [credentials, REJECTED, REJECTED]
    clock.advance(FIRST_PAUSE_S)
    assert answer(login) is credentials
    login.accept()
    assert [answer(login) for _ in range(3)] == [credentials] * 3


def test_dials_rejected_together_count_once() -> None:
    """The pause is not doubled, nor begun anew, by those that were under way when the first was rejected."""
    clock = FakeClock()
    login, _ = made(clock)
    credentials = ana()
    login.settle(credentials)
    for _ in range(5):
        assert login.reject(credentials, REJECTED)
        clock.advance(FIRST_PAUSE_S / 5)
    assert answer(login) is credentials


def test_new_credentials_are_used_at_once() -> None:
    """Also where a dial with the old ones is rejected after the new ones came."""
    clock = FakeClock()
    login, _ = made(clock)
    old, new = ana("old"), ana("new")
    login.settle(old)
    login.reject(old, REJECTED)
    login.settle(new)
    assert answer(login) is new
    assert not login.reject(old, REJECTED)
    assert answer(login) is new


def test_equal_credentials_that_were_read_again_are_new() -> None:
    """Who asks for another try gets one, with the same password too."""
    login, _ = made()
    first, again = ana(), ana()
    login.settle(first)
    login.reject(first, REJECTED)
    login.settle(again)
    assert answer(login) is again
    assert not login.reject(first, REJECTED)
    assert answer(login) is again


def test_an_accepted_login_forgets_the_rejection() -> None:
    """The server may have known the user only later; the next pause is a short one again."""
    clock = FakeClock()
    login, _ = made(clock)
    credentials = ana()
    login.settle(credentials)
    for _ in range(3):
        login.reject(credentials, REJECTED)
        clock.advance(LAST_PAUSE_S)
    login.accept()
    login.reject(credentials, REJECTED)
    clock.advance(FIRST_PAUSE_S)
    assert answer(login) is credentials


def test_who_waits_at_a_server_that_goes_is_told() -> None:
    """Their connections fail at once instead of waiting for a password that nobody reads any more."""
    login, _ = made()
    told = Told()
    login.find(told)
    login.close()
    (error,) = told.calls
    assert isinstance(error, SockslocalError)
    assert error.problem.code == "server-changed"


def test_the_password_is_not_shown() -> None:
    """Neither the object nor its answer shows it."""
    login, _ = made()
    login.settle(ana("hunter2"))
    assert "hunter2" not in f"{login!r} {vars(login)!r} {answer(login)!r}"
