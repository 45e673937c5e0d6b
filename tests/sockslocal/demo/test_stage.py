"""The thread with server and targets."""

import threading

import pytest

from sockslocal.demo.server import DemoServer
from sockslocal.demo.stage import Stage
from sockslocal.demo.targets import Targets


def demo_threads() -> list[str]:
    """The names of the threads that a stage has."""
    return [thread.name for thread in threading.enumerate() if thread.name == "demo-stage"]


def test_its_thread_ends_with_it() -> None:
    """After the exit nothing runs on."""
    with Stage(None):
        assert demo_threads() == ["demo-stage"]
    assert demo_threads() == []


@pytest.mark.parametrize("part", [Targets, DemoServer])
def test_what_keeps_it_from_opening_is_raised_at_the_entry(
    monkeypatch: pytest.MonkeyPatch, part: type[object]
) -> None:
    """The error is the caller's to show, and the thread is gone."""

    async def fail(_self: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(part, "open", fail)
    with pytest.raises(OSError, match="Too many open files"), Stage(None):
        pass
    assert demo_threads() == []
