"""The connection to the session bus: calls with a deadline, calls to us, signals, in one thread that sleeps.

Nothing here waits but `serve` and `ask`. `wake` is the only method for other threads.
"""

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Self

from jeepney.bus import get_connectable_addresses
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import prep_socket
from jeepney.low_level import HeaderFields, Message, MessageType

from sockslocal_tray.sni.inbox import Inbox, Incoming, NoMessagesError

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0
_RECEIVE_OCTETS = 64 * 1024
_MAX_UNSENT = 4 * 1024 * 1024
"""Octets: some two hundred icons. A bus that takes no more is as good as gone."""

Answered = Callable[[Incoming | None], object]
"""Is given the reply, or None: for an error, another signature, or nothing within the deadline."""


class BusLostError(ConnectionError):
    """There is no session bus, or it went away: most often because the session ended."""


class Bus:
    """A connection that has said Hello; `name` is the one that the bus gave it.

    `on_call` is asked for the reply to a method call, `on_signal` is told of signals, `on_wake` of `wake`.
    Every method but `wake` raises BusLostError once the bus is gone.
    """

    def __init__(self) -> None:
        self.on_call: Callable[[Incoming], Message | None] = lambda _: None
        self.on_signal: Callable[[Incoming], object] = lambda _: None
        self.on_wake: Callable[[], object] = lambda: None
        self._socket = _connected()
        self._inbox = Inbox()
        self._unsent = bytearray()
        self._serials = count(1)
        self._answers: dict[int, tuple[str, Answered]] = {}
        self._timers: list[tuple[float, Callable[[], object]]] = []
        self._waker, self._woken = socket.socketpair()
        for end in (self._socket, self._waker, self._woken):
            end.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ, self._on_socket)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_waker)
        self.name = self._hello()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hello(self) -> str:
        try:
            hello = self.ask(message_bus.Hello(), gives="s")
        except BusLostError:
            self.close()
            raise
        if hello is None:
            self.close()
            raise BusLostError("the session bus does not answer")
        return str(hello.body[0])

    # --- talking --------------------------------------------------------------------------------------------

    def send(self, message: Message) -> int:
        """Send it as soon as the bus takes it; returns its serial number."""
        serial = next(self._serials)
        self._unsent += message.serialise(serial)
        if len(self._unsent) > _MAX_UNSENT:
            raise BusLostError("the session bus takes no more messages")
        self._flush()
        return serial

    def call(self, message: Message, answered: Answered = lambda _: None, *, gives: str = "") -> None:
        """Call a method whose reply has the signature `gives`; `answered` is called once, while serving."""
        serial = self.send(message)
        self._answers[serial] = (gives, answered)
        self.later(_ANSWER_SECONDS, lambda: self._answer(serial, None))

    def ask(self, message: Message, *, gives: str = "") -> Incoming | None:
        """Call a method and wait for the reply; None where there is none."""
        replies: list[Incoming | None] = []
        self.call(message, replies.append, gives=gives)
        while not replies:
            self._turn()
        return replies[0]

    def match(self, **rule: str) -> None:
        """Have the bus send the signals that fit."""
        fields = {"type": "signal"} | rule
        self.call(message_bus.AddMatch(",".join(f"{key}='{value}'" for key, value in fields.items())))

    # --- serving --------------------------------------------------------------------------------------------

    def serve(self, until: Callable[[], bool]) -> None:
        """Take what comes until `until` holds, which is looked at after every event and every `wake`."""
        while not until():
            self._turn()

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Call `action` from `serve`, not before so many seconds have passed."""
        self._timers.append((time.monotonic() + seconds, action))

    def wake(self) -> None:
        """Have `on_wake` called in the thread that serves. For any thread, and harmless after the end."""
        with suppress(OSError):  # full: it is awake already
            self._waker.send(b"\0")

    def close(self) -> None:
        """Leave the bus, once it has taken the last words."""
        with suppress(OSError):
            self._socket.settimeout(_LAST_WORDS_SECONDS)
            self._socket.sendall(self._unsent)
        self._selector.close()
        for end in (self._socket, self._waker, self._woken):
            end.close()

    # --- inside ---------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        next_timer = min((when for when, _ in self._timers), default=None)
        timeout = None if next_timer is None else max(0.0, next_timer - time.monotonic())
        for key, events in self._selector.select(timeout):
            key.data(events)
        self._run_timers(time.monotonic())

    def _run_timers(self, now: float) -> None:
        due = [action for when, action in self._timers if when <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for action in due:
            action()

    def _on_waker(self, _: int) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(_RECEIVE_OCTETS)
        self.on_wake()

    def _on_socket(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            self._receive()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:
            raise BusLostError(f"the session bus is gone: {error.strerror}") from error
        writing = selectors.EVENT_WRITE if self._unsent else 0
        self._selector.modify(self._socket, selectors.EVENT_READ | writing, self._on_socket)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_RECEIVE_OCTETS)
        except BlockingIOError:
            return
        except OSError as error:
            raise BusLostError(f"the session bus is gone: {error.strerror}") from error
        if not data:
            raise BusLostError("the session bus closed the connection")
        try:
            for incoming in self._inbox.feed(data):
                self._take(incoming)
        except NoMessagesError as error:
            raise BusLostError(f"the session bus does not speak D-Bus: {error}") from error

    def _take(self, incoming: Incoming) -> None:
        header = incoming.message.header
        match header.message_type:
            case MessageType.method_call:
                reply = self.on_call(incoming)
                if reply:
                    self.send(reply)
            case MessageType.signal:
                if incoming.readable:
                    self.on_signal(incoming)
            case MessageType.method_return:
                self._answer(header.fields.get(HeaderFields.reply_serial), incoming)
            case _:
                _log.debug("! %s: %s", incoming.field(HeaderFields.error_name), incoming.body)
                self._answer(header.fields.get(HeaderFields.reply_serial), None)

    def _answer(self, serial: Any, reply: Incoming | None) -> None:
        if serial in self._answers:
            gives, answered = self._answers.pop(serial)
            proper = reply and reply.readable and reply.field(HeaderFields.signature) == gives
            answered(reply if proper else None)


def _connected() -> socket.socket:
    try:
        path = next(get_connectable_addresses(_address()))
        connected: socket.socket = prep_socket(path, timeout=_CONNECT_SECONDS)
    except BusLostError:
        raise
    except Exception as error:  # of the address, of connecting, of logging in
        raise BusLostError(f"no session bus: {error}") from error
    return connected


def _address() -> str:
    """Where the session bus is (D-Bus Specification, Well-known Message Bus Instances)."""
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not address and not runtime:
        raise BusLostError("no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
    return address or f"unix:path={runtime}/bus"
