"""The two directions of a relay to a server inside TLS: nothing is spliced, for all has to be encrypted."""

from sockslocal.net.pump import ENDED, FULL, Pump, Turn
from sockslocal.net.sockets import Socket
from sockslocal.net.tls import TlsSocket


class EndingPump(Pump):
    """A pump to the server; it tells the source's end inside TLS before the FIN is sent."""

    __slots__ = ("_tell_end",)

    def __init__(self, source: Socket, sink: TlsSocket) -> None:
        super().__init__(source, sink, None)
        self._tell_end = sink.end

    def turn(self) -> Turn:
        turn = super().turn()
        if turn is ENDED:
            try:
                self._tell_end()
            except BlockingIOError:
                return FULL
        return turn


def tls_pumps(local: Socket, remote: TlsSocket) -> tuple[Pump, Pump]:
    """From the local program to the server, and back."""
    down = Pump(remote, local, None)
    down.ending = True  # an end inside TLS comes without an edge, or behind others
    return EndingPump(local, remote), down
