"""pystray's icons for Windows and macOS, mended: they touch the screen in one thread only.

pystray lets any thread do so. Windows then destroys a menu while it is open, and macOS ends the process.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any

Job = Callable[[], object]

_MESSAGE = 0x8000 + 0x51  # of WM_APP's range, where an application's own messages are


def confined(kind: Any, schedule: Callable[[Any, Job], object]) -> Any:
    """A subclass of pystray's Icon `kind`; `schedule` has a job done by the main thread, some time later."""

    def there(method: str) -> Callable[[Any], None]:
        original = getattr(kind, method)

        def call(self: Any) -> None:
            if threading.current_thread() is threading.main_thread():
                original(self)
            else:
                schedule(self, lambda: original(self))

        return call

    methods = ("_show", "_hide", "_update_icon", "_update_title", "_update_menu", "_stop")
    return type("Icon", (kind,), {"__module__": kind.__module__} | {name: there(name) for name in methods})


def for_macos(kind: Any, call_after: Callable[[Job], object]) -> Any:
    """`kind` is `pystray._darwin.Icon`; `call_after` is AppHelper's."""
    return confined(kind, lambda _icon, job: call_after(job))


def for_windows(kind: Any, post_message: Callable[[int, int, int, int], object]) -> Any:
    """`kind` is `pystray._win32.Icon`; `post_message` is the system's."""

    class Working(kind):  # type: ignore[misc]
        """Does the jobs in its message loop."""

        __module__ = kind.__module__  # pystray finds its options by it

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
            self._message_handlers[_MESSAGE] = lambda _wide, _long: self.jobs.get()()

    def schedule(icon: Any, job: Job) -> None:
        icon.jobs.put(job)
        post_message(icon._hwnd, _MESSAGE, 0, 0)  # noqa: SLF001  it has no other name

    return confined(Working, schedule)
