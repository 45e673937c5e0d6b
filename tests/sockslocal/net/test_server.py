import errno
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.engine import FakeClock, Timers, Told, turns, until
from fakes.probe_target import probe_target
from fakes.socks5_server import Act, FakeServer, Script, Stage
from fakes.targets import tcp_echo
from sockslocal.address import Endpoint
from sockslocal.config.model import ServerConfig
from sockslocal.errors import CredentialsError, ServerError
from sockslocal.net import connecting, sockets
from sockslocal.net import server as module
from sockslocal.net.engine import Engine
from sockslocal.net.login import FIRST_PAUSE_S, LAST_PAUSE_S
from sockslocal.net.pipelining import FIRST_PAUSE_S as FIRST_LOOK_S
from sockslocal.net.profile import Profile, key_of
from sockslocal.net.profiles import ProfileStore
from sockslocal.net.rungs import Rung
from sockslocal.net.server import Server, Shared
from sockslocal.net.sockets import Socket
from sockslocal.secret import Secret
from sockslocal.socks5.client import Credentials, Pipelining
from sockslocal.socks5.messages import Command, Request

ANA = (b"ana", b"hunter2")
GOOD, BAD = Credentials("ana", Secret("hunter2")), Credentials("ana", Secret("wrong-one"))
LOCKED = CredentialsError.of("needs-unlock", server="office", reason="is locked")
REQUEST = Request(Command.CONNECT, Endpoint("db.internal", 5432))
SHARED = Shared()


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to chance."""
    monkeypatch.setattr(random, "uniform", lambda _low, _high: 1.0)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=ANA) as running:
        yield running


class Watched:
    """A server under test, with the states that were shown and what it was asked for."""

    def __init__(
        self, engine: Engine, address: tuple[str, int], *, shared: Shared = SHARED, **config: Any
    ) -> None:
        self.states: list[str] = []
        self.wanted = 0
        self.server = Server(
            engine,
            ServerConfig(name="office", address=Endpoint(*address), username="ana", **config),
            self._changed,
            self._want,
            shared,
        )

    def _changed(self) -> None:
        self.states.append(self.server.state)

    def _want(self) -> bool:
        self.wanted += 1
        return False

    async def reaches(self, state: str) -> None:
        """Wait until the state is `state`."""
        await until(lambda: self.server.state == state, f"{state} instead of {self.server.state}")

    async def dialled(self, engine: Engine) -> str:
        """What one more dial comes to: `done`, or its problem's code."""
        done, failed = Told(), Told()
        self.server.dial(REQUEST, done, failed).start()
        await until(lambda: done.calls or failed.calls, "the dial has ended")
        if failed.calls:
            return str(failed.last.problem.code)
        engine.poller.close(done.last.sock)
        return "done"


def nobody() -> tuple[str, int]:
    """An address that refuses."""
    return "127.0.0.1", 1


async def test_a_server_that_works_is_up(engine: Engine, fake: FakeServer) -> None:
    """Unknown at first; with its login it is tried at once, and shown with its latency."""
    watched = Watched(engine, fake.address)
    server = watched.server
    assert server.snapshot().state == "unknown"
    assert server.snapshot().latency_ms is None
    server.settle_login(GOOD)
    await watched.reaches("up")
    shown = server.snapshot()
    assert watched.states == ["connecting", "up"]
    assert shown.latency_ms is not None
    assert 0 < shown.latency_ms < 10_000
    assert (shown.address, shown.problem, shown.udp) == (f"127.0.0.1:{fake.port}", None, "unknown")
    await until(lambda: fake.sessions[0].finished, "the probe's connection is closed")
    server.close()


async def test_it_is_tried_by_one_probe_at_a_time(engine: Engine, fake: FakeServer) -> None:
    """And one that is up is not shown as anything else while it is tried anew."""
    fake.scripts.append(Script(at=Stage.METHOD, act=Act.DRIP, interval=0.01))

    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    watched.server.probe()
    await watched.reaches("up")
    assert len(fake.sessions) == 1
    watched.server.settle_login(GOOD)
    await until(lambda: len(fake.sessions) == 2 and fake.sessions[1].finished, "tried anew")
    await turns()
    assert watched.states == ["connecting", "up"]
    watched.server.close()


async def test_a_server_that_is_down_is_tried_again(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has to be restarted: it is up soon after it has returned."""
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.01)
    fake.stop()

    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    await watched.reaches("down")
    problem = watched.server.snapshot().problem
    assert problem is not None
    assert problem.code == "server-unreachable"
    assert not watched.server.usable
    fake.start()
    await watched.reaches("up")
    assert watched.server.snapshot().problem is None
    watched.server.close()


async def test_it_is_tried_ever_less_often(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 1 s, doubling up to 30 s; the problem is shown throughout."""
    timers = Timers(engine)
    watched = Watched(engine, nobody())
    watched.server.settle_login(GOOD)
    for _ in range(7):
        await until(lambda: timers.pending, "the next retry is set")
        assert watched.server.state == "down"
        assert watched.server.problem is not None
        timers.fire()
    await until(lambda: timers.pending, "the next retry is set")
    assert timers.seconds == [1, 2, 4, 8, 16, 30, 30, 30]
    watched.server.close()
    assert timers.pending is None


@pytest.mark.parametrize("before", ["unknown", "down"])
async def test_a_want_of_our_own_says_nothing_about_the_server(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Without descriptors it cannot be tried: it is shown as before, and tried again later."""
    descriptors: list[int] = []
    open_socket = sockets.open_socket

    def limited(family: int, kind: int) -> Socket:
        if not descriptors:
            raise OSError(errno.EMFILE, "too many")
        return open_socket(family, kind)

    monkeypatch.setattr(connecting, "open_socket", limited)

    timers = Timers(engine)
    watched = Watched(engine, fake.address)
    if before == "down":
        fake.stop()
        descriptors.append(1)
    watched.server.settle_login(GOOD)
    await watched.reaches(before)
    problem = watched.server.problem
    assert (problem is not None) == (before == "down")
    descriptors.clear()
    timers.fire()
    assert watched.states[-2:] == ["connecting", before]
    assert watched.server.problem is problem
    descriptors.append(1)
    if before == "down":
        fake.start()
    timers.fire()
    await watched.reaches("up")
    watched.server.close()


async def test_no_retry_asks_for_a_password_that_is_missing(engine: Engine) -> None:
    """Once that is known it is for the user to mend; what was to be tried again is not."""
    timers = Timers(engine)
    watched = Watched(engine, nobody())
    watched.server.settle_login(GOOD)
    await watched.reaches("down")
    assert timers.seconds == [1]
    watched.server.settle_login(LOCKED)
    assert (watched.server.state, timers.pending) == ("needs-unlock", None)
    watched.server.close()


async def test_no_retry_repeats_a_login_that_was_rejected(engine: Engine, fake: FakeServer) -> None:
    """A server that was down, and rejects the login once it is back, stays shown as that."""
    timers = Timers(engine)
    fake.stop()
    watched = Watched(engine, fake.address)
    watched.server.settle_login(BAD)
    await watched.reaches("down")
    fake.start()
    assert await watched.dialled(engine) == "auth-failed"
    assert (watched.server.state, timers.pending) == ("auth-failed", None)
    watched.server.close()


async def test_a_local_connection_tries_at_once(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for the next retry; where it succeeds the retries end, and their pauses begin anew."""
    timers = Timers(engine)
    fake.stop()
    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    await watched.reaches("down")
    timers.fire()
    await until(lambda: len(timers.seconds) == 2, "the second retry is set")
    assert await watched.dialled(engine) == "server-unreachable"
    assert timers.seconds == [1, 2]
    fake.start()
    fake.script = Script(reply=5)
    assert await watched.dialled(engine) == "target-refused"
    assert watched.server.state == "up"
    assert timers.pending is None
    fake.stop()
    assert await watched.dialled(engine) == "server-unreachable"
    assert timers.seconds == [1, 2, 1]
    fake.start()
    watched.server.close()


async def test_a_refused_target_says_nothing_against_the_server(engine: Engine, fake: FakeServer) -> None:
    """It stays up, and nothing is shown as changed."""
    fake.script = Script(reply=5)

    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    await watched.reaches("up")
    assert await watched.dialled(engine) == "target-refused"
    assert watched.states == ["connecting", "up"]
    watched.server.close()


async def test_a_rejected_login_is_not_repeated(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is shown, not retried, and further dials fail without asking the server."""
    timers = Timers(engine)
    watched = Watched(engine, fake.address)
    watched.server.settle_login(BAD)
    await watched.reaches("auth-failed")
    problem = watched.server.snapshot().problem
    assert problem is not None
    assert problem.remedy == "sockslocal login office"
    asked = len(fake.sessions)
    for _ in range(3):
        assert await watched.dialled(engine) == "auth-failed"
    assert len(fake.sessions) == asked
    assert timers.seconds == []
    assert not watched.server.usable
    watched.server.settle_login(GOOD)
    await watched.reaches("up")
    assert await watched.dialled(engine) in ("done", "target-refused")
    watched.server.close()


async def test_a_server_may_come_to_know_the_user(engine: Engine, fake: FakeServer, clock: FakeClock) -> None:
    """After the pause the same login is tried again; accepted, it begins with a short pause the next time."""
    fake.credentials = (b"somebody", b"else")

    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    await watched.reaches("auth-failed")
    for pause in (FIRST_PAUSE_S, 2 * FIRST_PAUSE_S):
        clock.advance(pause)
        assert await watched.dialled(engine) == "auth-failed"
    clock.advance(LAST_PAUSE_S)
    fake.credentials, fake.script = ANA, Script(reply=5)
    assert await watched.dialled(engine) == "target-refused"
    assert watched.server.state == "up"
    fake.credentials = (b"somebody", b"else")
    assert await watched.dialled(engine) == "auth-failed"
    clock.advance(FIRST_PAUSE_S)
    fake.credentials = ANA
    assert await watched.dialled(engine) == "target-refused"
    watched.server.close()


async def test_a_late_rejection_does_not_hit_the_new_password(engine: Engine, fake: FakeServer) -> None:
    """A dial that was under way with the old password may be rejected after the new one is in use."""
    watched = Watched(engine, fake.address)
    fake.scripts.append(Script(at=Stage.LOGIN, act=Act.STALL))
    fake.scripts.append(Script(at=Stage.LOGIN, act=Act.DRIP, interval=0.1, status=1))
    failed = Told()
    watched.server.settle_login(BAD)
    await until(lambda: fake.sessions, "the probe is under way")
    watched.server.dial(REQUEST, Told(), failed).start()
    await until(lambda: len(fake.sessions) == 2 and fake.sessions[1].login, "the other one too")
    watched.server.settle_login(GOOD)
    await until(lambda: failed.calls, "the old dial was rejected")
    assert failed.last.problem.code == "auth-failed"
    await watched.reaches("up")
    assert set(watched.states) == {"connecting", "up"}
    assert [session.login for session in fake.sessions] == [(b"ana", b"wrong-one")] * 2 + [ANA]
    watched.server.close()


async def test_a_locked_keyring_is_shown(engine: Engine, fake: FakeServer) -> None:
    """The state says what to do; dials fail with the reason, each asking whether there is another attempt."""
    watched = Watched(engine, fake.address)
    watched.server.settle_login(LOCKED)
    assert watched.server.snapshot().state == "needs-unlock"
    assert watched.server.snapshot().problem == LOCKED.problem
    assert await watched.dialled(engine) == "needs-unlock"
    assert watched.wanted == 1
    assert watched.server.state == "needs-unlock"
    assert not fake.sessions
    watched.server.forget_login()
    assert watched.server.snapshot().state == "connecting"
    assert watched.server.snapshot().problem is None
    watched.server.settle_login(GOOD)
    await watched.reaches("up")
    watched.server.close()


async def test_a_missing_password_is_shown(engine: Engine) -> None:
    """Any other reason why there is no password counts as a failed login."""
    missing = CredentialsError.of(
        "password-missing",
        server="office",
        username="ana",
        where="the keyring",
        remedy="sockslocal login office",
    )

    watched = Watched(engine, nobody())
    watched.server.settle_login(missing)
    assert watched.server.snapshot().state == "auth-failed"
    assert watched.server.snapshot().problem == missing.problem
    watched.server.close()


async def test_a_server_without_a_common_method_is_down(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again: its configuration may be mended."""
    monkeypatch.setattr(module, "FIRST_RETRY_S", 0.01)
    fake.script = Script(method=0xFF)

    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    await watched.reaches("down")
    assert watched.server.problem is not None
    assert watched.server.problem.code == "server-no-method"
    fake.script = Script()
    await watched.reaches("up")
    watched.server.close()


async def test_the_address_that_answered_is_preferred(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next dial begins with it."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", nobody()),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", fake.address),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    watched = Watched(engine, ("proxy.test", 1080))
    watched.server.settle_login(GOOD)
    await watched.reaches("up")
    assert watched.server.way.addresses._known[0] == (socket.AF_INET, fake.address)
    watched.server.close()


async def test_a_closed_server_is_never_tried_again(
    engine: Engine, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dials that were under way end by themselves; how they end changes nothing and begins nothing."""
    timers = Timers(engine)
    fake.script = Script(at=Stage.METHOD, act=Act.STALL)
    watched = Watched(engine, fake.address)
    watched.server.settle_login(GOOD)
    failed = Told()
    watched.server.dial(REQUEST, Told(), failed).start()
    await until(lambda: len(fake.sessions) == 2 and fake.sessions[1].segments, "both are under way")
    watched.server.close()
    await until(lambda: fake.sessions[0].finished, "the probe has ended")
    fake.stop()
    await until(lambda: failed.calls, "the dial has failed")
    assert failed.last.problem.code == "server-closed"
    await turns()
    assert timers.seconds == []
    assert watched.states == ["connecting"]
    fake.start()


async def test_closing_tells_dials_that_wait_for_the_password(engine: Engine) -> None:
    """They fail at once, and not by their deadline."""
    watched = Watched(engine, nobody())
    failed = Told()
    watched.server.dial(REQUEST, Told(), failed).start()
    watched.server.close()
    assert [error.problem.code for error in failed.calls] == ["server-changed"]
    assert watched.states == []


async def test_udp_switched_off_is_never_tried(engine: Engine, fake: FakeServer) -> None:
    """Whoever wants a flow is told, and how to change it."""
    watched = Watched(engine, fake.address, udp="off")
    watched.server.settle_login(GOOD)
    await watched.reaches("up")
    with pytest.raises(ServerError) as caught:
        watched.server.udp.open(Endpoint("192.0.2.1", 53), None, 60.0)  # type: ignore[arg-type]
    assert caught.value.problem.code == "udp-off"
    assert caught.value.problem.remedy == 'set udp = "auto" in [server.office]'
    assert watched.server.udp.problem == caught.value.problem
    assert watched.server.snapshot().udp == "none"
    assert len(fake.sessions) == 1
    watched.server.close()


EXAMINED = Profile(
    rung="associate", relay_rule="port", largest_datagram=2038, closes_control=True, probe_answers=True
)


async def test_what_an_examination_has_found_is_gone_by(
    engine: Engine, fake: FakeServer, tmp_path: Path
) -> None:
    """And kept; what it did not try stays as it is known."""
    store = ProfileStore(tmp_path / "profiles.json")
    watched = Watched(engine, fake.address, shared=Shared(profiles=store))
    server = watched.server
    server.learn(bears_empty=True, rung="none")
    server.go_by(EXAMINED)
    assert server.profile == EXAMINED.replace(bears_empty=True)
    assert store.get(key_of(server.config)) == server.profile
    assert (server.udp.rung, server.udp.problem) == ("associate", None)
    assert watched.states == ["unknown"]
    terms, health = server.udp.terms(), server.udp._health
    assert (terms.smallest, terms.largest) == (0, 2038)
    assert (health.ladder.current, health.lenient, health.answers_probes) == (Rung.PORT, True, True)
    server.close()


async def test_an_examination_shakes_nothing_that_works(engine: Engine, fake: FakeServer) -> None:
    """Neither where datagrams pass already, nor where they did not pass for it."""
    watched = Watched(engine, fake.address)
    ladder = watched.server.udp._health.ladder
    watched.server.go_by(Profile(rung="none"))
    assert watched.server.udp.rung == "unknown"
    ladder.prove(Rung.UOT_V2)
    watched.server.go_by(EXAMINED)
    assert watched.server.udp._health.ladder is ladder
    assert ladder.current is Rung.UOT_V2
    watched.server.close()


async def test_what_a_handshake_bears_is_learned_by_using_it(
    engine: Engine, fake: FakeServer, clock: FakeClock, tmp_path: Path
) -> None:
    """The first request that is granted starts it; what is doubted then is found out anew."""
    store = ProfileStore(tmp_path / "profiles.json")
    with probe_target() as target, tcp_echo() as echo:
        fake.names["db.internal"] = echo
        watched = Watched(engine, fake.address, shared=Shared(profiles=store), udp_probe=target)
        server, way = watched.server, watched.server.way
        server.settle_login(GOOD)
        await watched.reaches("up")
        assert await watched.dialled(engine) == "done"
        await until(lambda: way.pipelining is Pipelining.FULL, "it is known")
        assert store.get(key_of(server.config)).pipelined
        way.doubted()
        clock.advance(FIRST_LOOK_S)
        assert await watched.dialled(engine) == "done"
        await until(lambda: way.pipelining is Pipelining.FULL, "it is known again")
        server.close()
        assert way.pipelining is Pipelining.NONE


async def test_what_was_known_of_a_server_that_was_away_is_in_doubt(
    engine: Engine, fake: FakeServer, tmp_path: Path
) -> None:
    """Another one may have come in its place: so it is with what a former process has learned."""
    store = ProfileStore(tmp_path / "profiles.json")
    watched = Watched(engine, fake.address, shared=Shared(profiles=store))
    server = watched.server
    store.put(key_of(server.config), Profile(pipelined=True))
    assert (
        Watched(engine, fake.address, shared=Shared(profiles=store)).server.way.pipelining is Pipelining.NONE
    )
    server.go_by(Profile(pipelined=True, semi_pipelined=True))
    assert server.way.pipelining is Pipelining.FULL
    fake.stop()
    server.settle_login(GOOD)
    await watched.reaches("down")
    assert watched.server.profile.pipelining is Pipelining.FULL
    assert server.way.pipelining.value == Pipelining.NONE.value
    server.close()


async def test_in_another_network_it_is_tried_at_once(engine: Engine, fake: FakeServer) -> None:
    """However rare its attempts had become; who asked is told once that it is there."""
    timers = Timers(engine)
    watched = Watched(engine, fake.address)
    server, answers = watched.server, Told()
    fake.stop()
    server.settle_login(GOOD)
    await watched.reaches("down")
    for _ in range(3):
        timers.fire()
        await until(lambda: timers.pending, "it failed again")
    server.recover(lambda: answers(1))
    await until(lambda: timers.pending, "it failed again")
    assert timers.seconds == [1, 2, 4, 8, 1]
    fake.start()
    server.recover(lambda: answers(2))
    await watched.reaches("up")
    await until(lambda: answers.calls, "it is told")
    server.probe()
    await until(lambda: len(fake.sessions) == 2 and fake.sessions[1].finished, "it was tried again")
    assert answers.calls == [2]
    server.close()


async def test_a_server_that_is_up_is_doubted_without_a_word(engine: Engine, fake: FakeServer) -> None:
    """It is shown as up until it is known not to be; an attempt of before does not count."""
    watched = Watched(engine, fake.address)
    server, answers = watched.server, Told()
    server.settle_login(GOOD)
    await watched.reaches("up")
    shown = len(watched.states)
    checked: list[int] = []
    server.udp.check = lambda: checked.append(1)  # type: ignore[method-assign]
    fake.scripts.append(Script(at=Stage.METHOD, act=Act.STALL))
    server.probe()
    await until(lambda: len(fake.sessions) == 2, "an attempt that hangs")
    server.recover(lambda: answers(1))
    await until(lambda: answers.calls, "it is there")
    assert (len(watched.states), checked) == (shown, [1])
    server.close()


async def test_a_refused_target_shows_that_it_is_there(engine: Engine, fake: FakeServer) -> None:
    """As soon as its own attempt does."""
    watched = Watched(engine, fake.address)
    server, answers = watched.server, Told()
    server.settle_login(GOOD)
    await watched.reaches("up")
    fake.scripts.append(Script(at=Stage.METHOD, act=Act.STALL))
    server.recover(lambda: answers(1))
    await until(lambda: len(fake.sessions) == 2, "an attempt that hangs")
    fake.scripts.append(Script(reply=5))
    assert await watched.dialled(engine) == "target-refused"
    assert answers.calls == [1]
    server.close()


async def test_another_network_does_not_repeat_a_rejected_login(engine: Engine, fake: FakeServer) -> None:
    """Nor does it ask for a password that is not to be had: accounts get locked, and people bothered."""
    watched = Watched(engine, fake.address)
    server = watched.server
    server.settle_login(BAD)
    await watched.reaches("auth-failed")
    sessions = len(fake.sessions)
    server.recover(lambda: None)
    server.settle_login(LOCKED)
    server.recover(lambda: None)
    await turns()
    assert (server.state, len(fake.sessions), watched.wanted) == ("needs-unlock", sessions, 0)
    server.close()
