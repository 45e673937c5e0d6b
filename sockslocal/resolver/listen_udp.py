"""The UDP listener: a batch of queries comes in, what the cache holds goes out in one, the rest later."""

import asyncio
import socket
from functools import partial

from sockslocal.net.datagrams import Batch, Peer
from sockslocal.net.poller import Poller
from sockslocal.resolver.pipeline import Backend

BATCHES = 4
"""Batches served before the other sockets have their turn."""


class DatagramServer:
    """Serves one bound UDP socket."""

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        batch: Batch,
        backend: Backend,
    ) -> None:
        self._poller = poller
        self._sock = sock
        self._batch = batch
        self._backend = backend
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._resuming = False
        poller.register(sock, self._ready)

    def close(self) -> None:
        """Receive no more. The port is free at once, so what still waits gets no reply."""
        if not self._closed:
            self._closed = True
            self._poller.close(self._sock)

    def _ready(self, _events: int) -> None:
        if not self._resuming:
            self._serve()

    def _resume(self) -> None:
        self._resuming = False
        self._serve()

    def _serve(self) -> None:
        """Serve a few batches of hits, or one with misses, whose tasks have to run before there are more."""
        for _ in range(BATCHES):
            if self._closed:
                return
            count = self._batch.receive(self._sock)
            if not count:
                self._poller.wait_readable(self._sock)
                return
            if self._answer(count):
                break
        self._resuming = True
        self._loop.call_soon(self._resume)

    def _answer(self, count: int) -> bool:
        """Answer the batch as far as the cache goes; whether there is more to it."""
        batch, backend = self._batch, self._backend
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
            batch.send_many(self._sock, replies)
        return bool(missed)

    def _respond(self, peer: Peer, reply: bytes) -> None:
        if not self._closed:
            self._batch.send_many(self._sock, ((peer, reply),))
