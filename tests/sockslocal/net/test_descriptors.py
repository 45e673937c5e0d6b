import logging
import os
import resource
import socket
import sys
import time

import pytest

from fakes.sockets import closing
from sockslocal.net.descriptors import RESERVE, DescriptorBudget, descriptor_limit


def test_the_reserve() -> None:
    """The last descriptors are not given to connections: at most half of them."""
    assert DescriptorBudget(1024).ceiling == 1024 - RESERVE
    assert DescriptorBudget(64).ceiling == 32


def test_spent() -> None:
    """It is spent when a new descriptor would come from the reserve; standard error is not needed to tell."""
    budget = DescriptorBudget(1 << 20)
    lowest = os.dup(2)
    os.close(lowest)
    assert not budget.is_spent(10_000)
    budget.ceiling = lowest
    assert budget.is_spent(0)
    budget.ceiling = lowest + 1
    assert not budget.is_spent(0)
    budget.promised = 1
    assert budget.is_spent(0)


def test_spent_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where descriptors are no small numbers, what counts is how many sockets are watched."""
    monkeypatch.setattr(sys, "platform", "win32")
    budget = DescriptorBudget(descriptor_limit())
    near, far = socket.socketpair()
    with closing(near, far):
        assert budget.may_be_spent(near.fileno())
    assert budget.limit == 512
    assert not budget.is_spent(512 - RESERVE - 1)
    budget.promised = 1
    assert budget.is_spent(512 - RESERVE - 1)
    assert budget.is_spent(512 - RESERVE)


def test_what_is_promised_counts_for_the_newest_too() -> None:
    """Else nobody would ask whether the budget is spent."""
    budget = DescriptorBudget(4_096)
    budget.ceiling = 17
    assert not budget.may_be_spent(7)
    budget.promised = 10
    assert budget.may_be_spent(7)


def test_one_warning_a_minute(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """However often descriptors come and go, the log says so once a minute, and once that they are back."""
    caplog.set_level(logging.INFO)
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    budget = DescriptorBudget(100)
    for _ in range(5):
        budget.wait("db", "too many open files")
        budget.go_on("db")
    now += 59
    budget.wait("db", "too many open files")
    budget.go_on("db")
    told = [
        "! too many open files (limit 100): new connections wait",
        "= there are descriptors again: connections are accepted",
    ]
    assert [record.message for record in caplog.records] == told
    now += 1
    budget.wait("db", "too many open files")
    assert len(caplog.records) == 3


def test_it_is_a_problem_while_somebody_waits() -> None:
    """One for all of them."""
    budget = DescriptorBudget(100)
    for who in ("db", "web", "db"):
        budget.wait(who, "too many open files")
    budget.go_on("db")
    assert budget.problem is not None
    assert budget.problem.code == "descriptors-exhausted"
    budget.go_on("web")
    assert budget.problem is None


def limits(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, *, most: int) -> list[int]:
    """Pretend these limits, and a system that allows no more than `most`; gives what was set."""
    done: list[int] = []

    def set_limit(_which: int, pair: tuple[int, int]) -> None:
        if pair[0] > most:
            raise ValueError("current limit exceeds maximum limit")
        done.append(pair[0])

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    return done


INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "most", "expected"),
    [
        (1_024, 20_000, 20_000, 20_000),
        (20_000, 20_000, 20_000, 20_000),
        (256, INFINITY, 100_000, 65_536),
        (256, INFINITY, 24_576, 10_240),
        (256, INFINITY, 256, 256),
        (65_536, INFINITY, 100_000, 65_536),
        (INFINITY, INFINITY, 100_000, INFINITY),
    ],
)
def test_limit(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, most: int, expected: int) -> None:
    """The limit is raised as far as the system lets it be."""
    done = limits(monkeypatch, soft, hard, most=most)
    assert descriptor_limit() == expected
    assert done == ([expected] if expected != soft else [])
