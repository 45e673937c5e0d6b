import logging
from collections.abc import Callable

import pytest

from sockslocal.problems import Problem, problem
from sockslocal.status import ServerState
from sockslocal.supervisor.server_log import ServerLog

REFUSED = problem("server-unreachable", address="proxy:1080", reason="connection refused")
FILTERED = problem("server-unreachable", address="proxy:1080", reason="no route to host")
CLOSED = problem("server-closed", address="proxy:1080", stage="greeting", remedy="x")
LOCKED = problem("needs-unlock", server="office", reason="is locked")

UP = ("INFO", "= server office is up")
DOWN = ("WARNING", "! server office is down: proxy:1080 cannot be connected to: connection refused")

Note = tuple[ServerState, Problem | None]
Told = Callable[[list[Note]], list[tuple[str, str]]]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Told:
    """What is logged of a server that goes through these states."""
    caplog.set_level(logging.DEBUG)

    def tell(notes: list[Note]) -> list[tuple[str, str]]:
        log = ServerLog("office")
        for state, why in notes:
            log.note(state, why)
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return tell


def test_up_and_down_are_told_once_each(told: Told) -> None:
    """Not for each dial, nor for what is only on the way to another state."""
    down: list[Note] = [("connecting", REFUSED), ("down", REFUSED), ("down", FILTERED), ("connecting", None)]
    up: list[Note] = [("connecting", None), ("up", None), ("up", None)]
    assert told([*up, *down, *down, *up, *down]) == [UP, DOWN, UP, DOWN]


def test_it_tells_whether_the_server_went_up() -> None:
    """Once each time, as the log does."""
    log = ServerLog("office")
    states: list[Note] = [("connecting", None), ("up", None), ("up", None), ("down", REFUSED), ("up", None)]
    assert [log.note(*state) for state in states] == [False, True, False, False, True]


def test_a_server_that_was_never_up_is_told_as_down(told: Told) -> None:
    """It is what one looks for in the log."""
    assert told([("unknown", None), ("connecting", None), ("down", REFUSED)]) == [DOWN]


def test_another_problem_is_told_as_well(told: Told) -> None:
    """Once, though the two may alternate."""
    lines = told([("down", REFUSED), ("down", CLOSED)] * 3)
    assert lines == [DOWN, ("WARNING", f"! server office is down: {CLOSED.text}")]


def test_a_password_that_is_out_of_reach_is_told(told: Told) -> None:
    """Nothing goes through the server then either."""
    lines = told([("needs-unlock", LOCKED), ("connecting", None), ("needs-unlock", LOCKED), ("up", None)])
    assert lines == [("WARNING", f"! server office is down: {LOCKED.text}"), UP]
