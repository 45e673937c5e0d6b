"""The UDP listener: a batch of queries comes in, what the cache holds goes out in one, the rest later."""

import socket
from functools import partial

from sockslocal.address import Endpoint
from sockslocal.net.datagram_reader import DatagramReader
from sockslocal.net.datagrams import SLOTS, Batch, Peer
from sockslocal.net.engine import Engine
from sockslocal.resolver.pipeline import Backend

FEW = 20
"""Queries taken at once while some of them are no hits: what they cause is for the next turn to bear."""


class DatagramServer:
    """Serves one bound UDP socket."""

    def __init__(self, engine: Engine, sock: socket.socket, backend: Backend) -> None:
        self._batch = engine.batch
        self._ears = engine.ears
        self._place = Endpoint(*sock.getsockname()[:2])
        self._backend = backend
        self._reader = DatagramReader(engine, sock, self._answer)

    def close(self) -> None:
        """Receive no more. The port is free at once: who still waits gets a reply by whoever has it then."""
        self._reader.close()

    def _answer(self, batch: Batch, count: int) -> bool:
        """Answer as far as the cache goes; whether there is more to it, whose tasks have to run first."""
        backend = self._backend
        hit, now = backend.cache.hit, backend.now()
        replies: list[tuple[Peer, bytes]] = []
        missed: list[tuple[Peer, bytes]] = []
        for index in range(count):
            message = bytes(batch.payload(index))
            reply = hit(message, now, stream=False)
            if reply is not None:
                replies.append((batch.peer(index), reply))
            else:
                missed.append((batch.peer(index), message))
        backend.statistics.queries += count
        backend.statistics.hits += len(replies)
        for peer, message in missed:
            reply = backend.pipeline.submit(message, partial(self._respond, peer), stream=False)
            if reply:
                replies.append((peer, reply))
        if replies:
            batch.send_many(self._reader.sock, replies)
        self._reader.share = FEW if missed else SLOTS
        return bool(missed)

    def _respond(self, peer: Peer, reply: bytes) -> None:
        sock = self._ears.at(self._place)
        if sock is not None:
            self._batch.send_many(sock, ((peer, reply),))
