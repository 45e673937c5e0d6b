"""Ctrl-C while modules are imported, where Python may lose what it raises for it, or crash."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""What shells use for a program that Ctrl-C ended: 128 + SIGINT."""


@contextmanager
def ending_at_once() -> Iterator[None]:
    """Ctrl-C ends the process at once meanwhile: for imports, before there is anything to tidy up.

    What was to ignore it, or has a handler of its own, still does. To be used by the main thread.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
