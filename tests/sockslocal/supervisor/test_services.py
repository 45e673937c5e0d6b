import pytest

from fakes.engine import Timers, run
from sockslocal.errors import ListenError
from sockslocal.net.engine import Engine
from sockslocal.supervisor.services import Service

IN_USE = ListenError.of(
    "port-in-use",
    kind="forward",
    name="db",
    listen="127.0.0.1:5432",
    holder="postgres (pid 812)",
    remedy="sockslocal forward set db --listen 127.0.0.1:15432",
)


class Thing:
    """Something to be opened and closed."""

    def __init__(self) -> None:
        self.error: ListenError | None = None
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append("open")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.calls.append("close")


class Made:
    """A service with all around it."""

    def __init__(self, engine: Engine) -> None:
        self.timers = Timers(engine)
        self.thing = Thing()
        self.states: list[str] = []
        self.service = Service(engine, "db", self.thing, self._changed)

    def _changed(self) -> None:
        self.states.append(self.service.state)


def test_it_is_what_is_wanted() -> None:
    """Off at first; opened once and closed once, however often it is wanted, and opened again."""

    async def test(engine: Engine) -> None:
        made = Made(engine)
        made.service.want(on=False)
        assert (made.service.state, made.thing.calls) == ("off", [])
        for on in (True, True, False, False, True):
            made.service.want(on=on)
        assert made.thing.calls == ["open", "close", "open"]
        assert made.states == ["listening", "off", "listening"]
        assert made.service.problem is None

    run(test)


def test_a_port_in_use_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The error is shown, logged once, and gone when the port is free; it is tried less and less often."""

    async def test(engine: Engine) -> None:
        made = Made(engine)
        made.thing.error = IN_USE
        made.service.want(on=True)
        assert made.service.state == "error"
        assert made.service.problem == IN_USE.problem
        for _ in range(5):
            made.timers.fire()
            made.service.want(on=True)
        assert made.timers.seconds == [2, 4, 8, 16, 30, 30]
        assert made.states == ["error"]
        assert caplog.text.count("the port is in use by postgres") == 1
        made.thing.error = None
        made.timers.fire()
        assert made.states == ["error", "listening"]
        assert made.service.problem is None
        assert made.timers.pending is None
        assert len(made.thing.calls) == 7

    run(test)


def test_another_error_is_shown() -> None:
    """What is shown is the latest reason."""
    denied = ListenError.of("listen-failed", kind="forward", name="db", listen="a", reason="b", remedy="c")

    async def test(engine: Engine) -> None:
        made = Made(engine)
        made.thing.error = IN_USE
        made.service.want(on=True)
        made.thing.error = denied
        made.timers.fire()
        assert made.service.problem == denied.problem
        assert made.states == ["error", "error"]
        made.service.close()

    run(test)


def test_switching_off_ends_the_retries() -> None:
    """And begins their pauses anew, for when it is switched on again."""

    async def test(engine: Engine) -> None:
        made = Made(engine)
        made.thing.error = IN_USE
        made.service.want(on=True)
        made.timers.fire()
        made.service.want(on=False)
        assert (made.service.state, made.service.problem) == ("off", None)
        assert made.timers.pending is None
        made.service.want(on=True)
        assert made.timers.seconds == [2, 4, 2]
        made.service.stop_retrying()
        assert made.timers.pending is None
        assert made.service.state == "error"

    run(test)


def test_what_could_not_be_opened_is_tried_when_asked_for() -> None:
    """The address may be there now; what is open, or off, is left as it is."""

    async def test(engine: Engine) -> None:
        made = Made(engine)
        made.service.retry()
        made.thing.error = IN_USE
        made.service.want(on=True)
        made.timers.fire()
        made.service.retry()
        assert made.timers.seconds == [2, 4, 2]
        made.thing.error = None
        made.service.retry()
        assert made.service.state == "listening"
        assert made.timers.pending is None
        made.service.retry()
        assert len(made.thing.calls) == 4

    run(test)
