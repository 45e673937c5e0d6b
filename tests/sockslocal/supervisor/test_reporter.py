import asyncio
from pathlib import Path

import msgspec
import pytest

from fakes.control import status
from fakes.engine import turns, until
from fakes.service_manager import Told, service_manager
from sockslocal.net.engine import Engine
from sockslocal.service_manager import ServiceManager
from sockslocal.status import Dns, Forward, ForwardState, Server, ServerState, Status, Tunnel
from sockslocal.supervisor.changes import Changes
from sockslocal.supervisor.reporter import Reporter, line


def forward(state: ForwardState) -> Forward:
    """A forward in that state."""
    return Forward(kind="tcp", listen="127.0.0.1:1", to="db:1", server="office", state=state)


def server(state: ServerState) -> Server:
    """A server in that state."""
    return Server(address="proxy.test:1080", state=state)


UP = status(servers={"office": server("up")}, forwards={"db": forward("listening")})


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (status(), "nothing to forward"),
        (UP, "1 of 1 forwards up"),
        (msgspec.structs.replace(UP, tunnel=Tunnel(on=False)), "the tunnel is switched off"),
        (
            status(
                servers={"office": server("down"), "home": server("up"), "x": server("needs-unlock")},
                forwards={"a": forward("listening"), "b": forward("error"), "c": forward("off")},
                dns=Dns(listen="127.0.0.1:5399", server="office", state="listening"),
            ),
            "1 of 3 forwards up, resolver up; server office is down, server x is needs-unlock",
        ),
        (status(dns=Dns(listen="127.0.0.1:5399", server="office", state="error")), "resolver error"),
    ],
)
def test_all_is_told_in_one_line(shown: Status, text: str) -> None:
    """What listens, and which server is not well."""
    assert line(shown) == text


class Picture:
    """What is shown."""

    def __init__(self) -> None:
        self.status = UP

    def __call__(self) -> Status:
        return self.status


async def follow(told: Told, engine: Engine, watchdog_s: float | None = None) -> None:
    """A change is told once, and a state that is the same is not."""
    picture = Picture()
    changes = Changes(picture)
    reporter = Reporter(ServiceManager(told.address, watchdog_s), changes, engine.poller)
    reporter.start()
    assert told.lines[:2] == ["STATUS=1 of 1 forwards up", "READY=1"]
    running = asyncio.create_task(reporter.run())
    await turns()
    changes.poke()
    picture.status = status()
    changes.poke()
    await until(lambda: "STATUS=nothing to forward" in told.lines, "the change is told")
    changes.poke()
    await turns()
    assert sum(line.startswith("STATUS") for line in told.lines) == 2
    running.cancel()
    reporter.stop()


async def test_changes_are_told(engine: Engine, tmp_path: Path) -> None:
    """As they come; nothing is told of what is no change, nor that it lives where nobody asks."""
    with service_manager(tmp_path) as told:
        await follow(told, engine)
        assert "WATCHDOG=1" not in told.lines


async def test_that_it_lives_is_told_while_the_poller_works(engine: Engine, tmp_path: Path) -> None:
    """A loop that turns beside a poller that does not is as good as dead."""
    with service_manager(tmp_path) as told:
        reporter = Reporter(ServiceManager(told.address, 0.02), Changes(Picture()), engine.poller)
        reporter.start()
        await until(lambda: told.lines.count("WATCHDOG=1") > 3, "it is told again and again")
        engine.poller.soon = lambda callback: None  # type: ignore[method-assign]
        await asyncio.sleep(0.03)
        before = told.lines.count("WATCHDOG=1")
        await asyncio.sleep(0.05)
        assert told.lines.count("WATCHDOG=1") == before
        reporter.stop()


async def test_nobody_is_told_where_nobody_listens(engine: Engine) -> None:
    """No picture is made either."""

    def fail() -> Status:
        raise AssertionError

    reporter = Reporter(ServiceManager(), Changes(fail), engine.poller)
    reporter.start()
    await reporter.run()
    reporter.stop()
