import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fakes.waiting import wait_until
from sockslocal_tray.confined import for_macos, for_windows

METHODS = ("_show", "_hide", "_update_icon", "_update_title", "_update_menu", "_stop")


class Bare:
    """What pystray's icons of Windows and macOS have in common."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.touched: list[tuple[str, bool]] = []
        self._hwnd = 4711
        self._message_handlers: dict[int, Callable[[int, int], object]] = {}

    def _touch(self, method: str) -> None:
        self.touched.append((method, threading.current_thread() is threading.main_thread()))


for _method in METHODS:
    setattr(Bare, _method, lambda self, method=_method: self._touch(method))


def elsewhere(action: Callable[[], object]) -> None:
    """Do it in another thread, to its end."""
    thread = threading.Thread(target=action)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize("method", METHODS)
def test_on_macos_the_main_thread_touches_the_screen(method: str) -> None:
    """Whoever asks; from the main thread itself, at once."""
    jobs: list[Callable[[], object]] = []
    icon: Any = for_macos(Bare, jobs.append)("x")
    getattr(icon, method)()
    assert icon.touched == [(method, True)]
    elsewhere(getattr(icon, method))
    assert len(icon.touched) == 1
    jobs.pop()()
    assert icon.touched == [(method, True)] * 2


def test_on_windows_the_message_loop_touches_the_screen() -> None:
    """It is sent a message for each job, and does them in their order."""
    messages: queue.Queue[tuple[int, int, int, int]] = queue.Queue()
    icon: Any = for_windows(Bare, lambda *message: messages.put(message))("x")
    elsewhere(icon._update_menu)
    elsewhere(icon._update_icon)
    assert icon.touched == []
    wait_until(lambda: messages.qsize() == 2, seconds=10, what="two messages")
    while not messages.empty():
        window, number, wide, long = messages.get()
        assert window == 4711
        assert 0x8000 <= number <= 0xBFFF  # WM_APP's
        icon._message_handlers[number](wide, long)
    assert icon.touched == [("_update_menu", True), ("_update_icon", True)]


def test_the_class_is_still_where_pystray_looks_for_its_options() -> None:
    """By the name of its module."""
    assert for_windows(Bare, lambda *_: None).__module__ == Bare.__module__
