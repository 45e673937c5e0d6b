import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fakes import loops
from fakes.engine import turns
from sockslocal.address import Endpoint
from sockslocal.config.model import PasswordKind, PasswordSource, ServerConfig
from sockslocal.errors import CredentialsError, SockslocalError
from sockslocal.net.login import Answer
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials
from sockslocal.supervisor import logins as module
from sockslocal.supervisor.logins import LoginKeeper

LOCKED = CredentialsError.of("needs-unlock", server="office", reason="is locked")
FAILED = CredentialsError.of(
    "password-source-failed",
    server="office",
    done="read from",
    where="a command",
    reason="it failed",
    remedy="x",
)
SERVER = Endpoint("proxy.test", 1080)


class FakeServer:
    """What a keeper does with its server."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answer: Answer = None

    def settle_login(self, answer: Answer) -> None:
        self.answer = answer
        self.told.append(answer.problem.code if isinstance(answer, SockslocalError) else "settled")

    def forget_login(self) -> None:
        self.told.append("forgotten")


class Source:
    """A place that passwords are read from; each reading is answered when the test says so."""

    def __init__(self) -> None:
        self.readings: list[asyncio.Future[Secret]] = []
        self.cancelled = 0

    async def read(self, _config: ServerConfig) -> Secret:
        reading: asyncio.Future[Secret] = asyncio.get_running_loop().create_future()
        self.readings.append(reading)
        try:
            return await reading
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def asked(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(10):
            while len(self.readings) < count:  # noqa: ASYNC110  a plain count
                await asyncio.sleep(0.001)

    async def answer(self, outcome: str | Exception) -> None:
        """Answer the latest reading."""
        await self.asked(1)
        if isinstance(outcome, str):
            self.readings[-1].set_result(Secret(outcome))
        else:
            self.readings[-1].set_exception(outcome)
        await turns()


class Made:
    """A keeper with all around it."""

    def __init__(self, username: str | None = "ana", kind: PasswordKind = "command") -> None:
        self.server = FakeServer()
        self.source = Source()
        source = PasswordSource(kind, "argument")
        config = ServerConfig(name="office", address=SERVER, username=username, password_from=source)
        self.keeper = LoginKeeper(config, self.source.read)

    def start(self) -> None:
        """Give the server its login."""
        self.keeper.start(self.server)  # type: ignore[arg-type]  # it has what is used of one


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a pause, unless it says so."""
    for name in ("FIRST_RETRY_S", "LAST_RETRY_S", "PATIENCE_S"):
        monkeypatch.setattr(module, name, 3600.0)


def run(
    test: Callable[[Made], Awaitable[None]], username: str | None = "ana", kind: PasswordKind = "command"
) -> None:
    """Run `test` with a keeper, whose task must have ended when it is closed."""

    async def main() -> None:
        made = Made(username, kind)
        async with asyncio.timeout(20):
            await test(made)
            made.keeper.close()
            await turns()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    loops.run(main())


def test_a_server_without_login() -> None:
    """It is settled at once, and nothing is ever read."""

    async def test(made: Made) -> None:
        assert not made.keeper.wanted()
        made.keeper.refresh()
        made.start()
        made.keeper.refresh()
        made.keeper.retry()
        assert not made.keeper.wanted()
        assert (made.server.told, made.server.answer, made.source.readings) == (["settled"], None, [])

    run(test, username=None)


def test_the_password_is_read_once() -> None:
    """The server is told, with the user's name; then the keeper rests."""

    async def test(made: Made) -> None:
        made.start()
        assert made.server.told == ["forgotten"]
        await made.source.answer("hunter2")
        assert made.server.told == ["forgotten", "settled"]
        assert made.server.answer == Credentials("ana", Secret("hunter2"))
        assert not made.keeper.wanted()
        made.keeper.retry()
        await turns()
        assert len(made.source.readings) == 1

    run(test)


def test_dials_wait_while_it_is_read() -> None:
    """They are told so, and cause no second reading."""

    async def test(made: Made) -> None:
        made.start()
        await made.source.asked(1)
        assert made.keeper.wanted()
        assert made.keeper.wanted()
        await made.source.answer("hunter2")
        assert len(made.source.readings) == 1

    run(test)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("keyring", LOCKED), ("keyring", FAILED), ("file", FAILED), ("systemd", FAILED)],
    ids=["keyring", "no keyring", "file", "systemd"],
)
def test_what_bothers_nobody_is_tried_again_by_itself(
    monkeypatch: pytest.MonkeyPatch, kind: PasswordKind, answer: CredentialsError
) -> None:
    """Until the keyring is unlocked, or the file is put right."""
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(module, "LAST_RETRY_S", 0.002)

    async def test(made: Made) -> None:
        made.start()
        for count in range(1, 5):
            await made.source.asked(count)
            await made.source.answer(answer)
        await made.source.asked(5)
        await made.source.answer("hunter2")
        assert made.server.told == ["forgotten", *[answer.problem.code] * 4, "settled"]

    run(test, kind=kind)


def test_a_keyring_without_the_password_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who puts it there tells so."""
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.0)
    missing = CredentialsError.of(
        "password-missing", server="office", username="ana", where="the keyring", remedy="x"
    )

    async def test(made: Made) -> None:
        made.start()
        await made.source.answer(missing)
        await asyncio.sleep(0.01)
        assert len(made.source.readings) == 1
        made.keeper.refresh()
        await made.source.asked(2)

    run(test, kind="keyring")


def test_the_pauses_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 2 s, doubling up to 30 s."""
    monkeypatch.undo()
    pauses: list[float | None] = []
    timeout = asyncio.timeout

    def no_pause(delay: float | None) -> asyncio.Timeout:
        pauses.append(delay)
        return timeout(0 if delay else None)

    async def test(made: Made) -> None:
        monkeypatch.setattr(asyncio, "timeout", no_pause)
        made.start()
        for count in range(1, 8):
            while len(made.source.readings) < count:  # noqa: ASYNC110  a plain count
                await asyncio.sleep(0)
            made.source.readings[-1].set_exception(LOCKED)
        while len(made.source.readings) < 8:  # noqa: ASYNC110  as above
            await asyncio.sleep(0)
        monkeypatch.undo()
        assert pauses == [2, 4, 8, 16, 30, 30, 30]

    run(test)


def test_a_dial_has_a_locked_keyring_tried_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Yet not within moments of the last attempt: an attempt is a process."""

    async def test(made: Made) -> None:
        made.start()
        await made.source.answer(LOCKED)
        assert not made.keeper.wanted()
        assert len(made.source.readings) == 1
        made.keeper._sooner_from = 0.0
        assert made.keeper.wanted()
        assert made.keeper.wanted()
        await made.source.asked(2)
        await made.source.answer("hunter2")
        assert made.server.told == ["forgotten", "needs-unlock", "settled"]

    run(test)


def test_other_sources_are_not_tried_again_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command may open a prompt each time: only a dial, a while later, or `retry` has it run again."""
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(module, "LAST_RETRY_S", 0.001)

    async def test(made: Made) -> None:
        made.start()
        await made.source.answer(FAILED)
        await turns(20)
        assert not made.keeper.wanted()
        assert len(made.source.readings) == 1
        made.keeper.retry()
        await made.source.asked(2)
        await made.source.answer(FAILED)
        await turns(20)
        assert len(made.source.readings) == 2
        made.keeper._sooner_from = 0.0
        assert made.keeper.wanted()
        await made.source.asked(3)
        await made.source.answer("hunter2")
        assert made.server.told == ["forgotten", *["password-source-failed"] * 2, "settled"]

    run(test)


@pytest.mark.parametrize("before", ["settled", "locked", "being read"])
def test_a_changed_password_is_read_at_once(before: str) -> None:
    """Dials wait for it; what was under way before is given up."""

    async def test(made: Made) -> None:
        made.start()
        await made.source.asked(1)
        if before == "settled":
            await made.source.answer("old")
        elif before == "locked":
            await made.source.answer(LOCKED)
        told = len(made.server.told)
        made.keeper.refresh()
        assert made.server.told[told:] == ["forgotten"]
        await made.source.asked(2)
        await made.source.answer("new")
        assert made.server.answer == Credentials("ana", Secret("new"))
        assert made.source.cancelled == (1 if before == "being read" else 0)

    run(test)


def test_closing_cancels_the_reading() -> None:
    """Whoever reads ends the child then; the server hears nothing more."""

    async def test(made: Made) -> None:
        made.start()
        await made.source.asked(1)
        made.keeper.close()
        await turns()
        assert made.source.cancelled == 1
        assert made.server.told == ["forgotten"]
        assert not made.keeper.wanted()

    run(test)


def test_a_password_that_cannot_be_sent() -> None:
    """Too long for the message: told as such, and no part of it is shown."""

    async def test(made: Made) -> None:
        made.start()
        await made.source.answer("x" * 256)
        assert isinstance(made.server.answer, CredentialsError)
        assert made.server.answer.problem.code == "password-invalid"
        assert "xxx" not in made.server.answer.problem.text

    run(test)


def test_an_unforeseen_error_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    """It is told by its class only, since its text might hold anything; the log has the rest."""

    async def test(made: Made) -> None:
        made.start()
        await made.source.answer(RuntimeError("what a surprise"))
        assert isinstance(made.server.answer, CredentialsError)
        assert made.server.answer.problem.text == "RuntimeError was raised"
        assert "what a surprise" in caplog.text

    run(test)
