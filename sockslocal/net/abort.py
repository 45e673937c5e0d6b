"""The end that is no orderly one: who is connected reads a reset (RST) instead of an end of the stream."""

import socket
import struct
import sys
from contextlib import suppress

from sockslocal.net.poller import Poller
from sockslocal.net.sockets import Socket

_NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER without time to linger: closing sends RST."""


def abort(poller: Poller, sock: Socket) -> None:
    """Close `sock`, which `poller` may watch, so that its peer reads a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    poller.close(sock)
