import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus

from fakes.session_bus import SessionBus, StandIn
from sockslocal_tray.sni import bus as bus_module
from sockslocal_tray.sni.bus import Bus, BusLostError
from sockslocal_tray.sni.inbox import MAX_OCTETS, Incoming

NAME = "org.example.Lamp"


def ask_lamp(method: str, signature: str | None = None, *body: object) -> Message:
    """A call of the service below."""
    return new_method_call(DBusAddress("/lamp", NAME, NAME), method, signature, body)


def respond(call: Message) -> Message | None:
    """A lamp that does not always answer."""
    match call.header.fields[HeaderFields.member]:
        case "Long":
            return new_method_return(call, "s", ("x" * (MAX_OCTETS + 1),))
        case "Silent":
            return None
        case "Broken":
            return new_error(call, "org.example.Error.Broken")
        case _:
            return new_method_return(call, call.header.fields.get(HeaderFields.signature), call.body)


@pytest.fixture
def lamp(bus: SessionBus) -> Iterator[StandIn]:
    """A service on the bus."""
    with StandIn(bus, NAME, respond) as one:
        yield one


# --- connecting ---------------------------------------------------------------------------------------------


def test_the_name_that_the_bus_gave(bus: SessionBus) -> None:
    """It is there from the start."""
    with Bus() as connection:
        assert connection.name.startswith(":1.")


def test_the_bus_of_a_login_without_an_address(bus: SessionBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the runtime folder then."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(bus.folder))
    with Bus() as connection:
        assert connection.name.startswith(":1.")


@pytest.mark.parametrize(
    ("address", "runtime", "said"),
    [
        (None, None, "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"),
        (None, "/proc/nobody", "No such file"),
        ("unix:path=/proc/nobody", None, "No such file"),
        ("tcp:host=127.0.0.1,port=1", None, "not supported"),
        ("nonsense", None, "no session bus"),
    ],
)
def test_no_bus(address: str | None, runtime: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason is, it is one kind of error, and says why."""
    for name, value in {"DBUS_SESSION_BUS_ADDRESS": address, "XDG_RUNTIME_DIR": runtime}.items():
        if value:
            monkeypatch.setenv(name, value)
    with pytest.raises(BusLostError, match=said):
        Bus()


@contextmanager
def something_else(folder: Path, monkeypatch: pytest.MonkeyPatch, *says: bytes) -> Iterator[None]:
    """Listens where the session bus should, and answers so many lines so."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/bus")
        listener.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={folder}/bus")

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted, accepted.makefile("rb") as heard, suppress(OSError):
                for said in says:
                    heard.readline()
                    accepted.sendall(said)
                while says and heard.readline():
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield
    thread.join()


LOGIN = b"OK 0123456789abcdef0123456789abcdef\r\n"


def test_a_bus_that_hangs_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no bus."""
    with something_else(tmp_path, monkeypatch), pytest.raises(BusLostError):
        Bus()


@pytest.mark.parametrize(("says", "error"), [((b"",), "authenticate"), ((LOGIN, b""), "does not answer")])
def test_a_bus_that_says_nothing(
    says: tuple[bytes, ...], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to a login nor to a greeting: it is not waited for without end."""
    monkeypatch.setattr(bus_module, "_CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(bus_module, "_ANSWER_SECONDS", 0.5)
    with something_else(tmp_path, monkeypatch, *says), pytest.raises(BusLostError, match=error):
        Bus()


def test_a_bus_that_speaks_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a proper login, even."""
    says = (LOGIN, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with something_else(tmp_path, monkeypatch, *says), pytest.raises(BusLostError, match="does not speak"):
        Bus()


# --- calling ------------------------------------------------------------------------------------------------


def test_asking(lamp: StandIn) -> None:
    """The reply is what comes back."""
    with Bus() as connection:
        reply = connection.ask(ask_lamp("Echo", "su", "light", 3), gives="su")
        assert reply is not None
        assert reply.body == ("light", 3)


@pytest.mark.parametrize("method", ["Broken", "Echo", "Long", "Silent"])
def test_no_answer(lamp: StandIn, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, another kind than expected, more than can be read, or nothing in time: told once."""
    monkeypatch.setattr(bus_module, "_ANSWER_SECONDS", 0.5)
    replies: list[Incoming | None] = []
    with Bus() as connection:
        connection.call(ask_lamp(method), replies.append, gives="s")
        connection.serve(until=lambda: not connection._timers)
    assert replies == [None]


def test_much_to_say(lamp: StandIn) -> None:
    """More than the bus takes at once is sent as it takes it."""
    replies: list[Incoming | None] = []
    with Bus() as connection:
        for number in range(20):
            call = ask_lamp("Echo", "sq", "x" * 150_000, number)
            connection.call(call, replies.append, gives="sq")
        assert connection._unsent
        connection.serve(until=lambda: len(replies) == 20)
    assert [reply and reply.body[1] for reply in replies] == list(range(20))


def test_too_much_to_say(lamp: StandIn) -> None:
    """A bus that takes nothing any more is given up, or what it does not take would fill the memory."""
    with Bus() as connection:

        def flood() -> None:
            while True:
                connection.send(ask_lamp("Echo", "s", "x" * 1_000_000))

        with pytest.raises(BusLostError, match="no more"):
            flood()


# --- serving ------------------------------------------------------------------------------------------------


def test_calls_are_answered(bus: SessionBus) -> None:
    """Also the one that ends it."""
    with Bus() as connection, closing(bus.connect()) as caller:
        taken: list[Incoming] = []

        def on_call(incoming: Incoming) -> Message:
            taken.append(incoming)
            return new_method_return(incoming.message, "s", ("off",))

        connection.on_call = on_call
        caller.send(
            new_method_call(DBusAddress("/lamp", connection.name, NAME), "Switch"), serial=(serial := 1_000)
        )
        connection.serve(until=lambda: bool(taken))
        connection.close()
        reply = caller.receive(timeout=10)
        while reply.header.fields.get(HeaderFields.reply_serial) != serial:
            reply = caller.receive(timeout=10)
        assert reply.body == ("off",)


def test_calls_that_want_no_answer_and_signals_that_cannot_be_read(bus: SessionBus) -> None:
    """They are taken, and nothing is said or believed."""
    with Bus() as connection, closing(bus.connect()) as caller:
        taken: list[str] = []
        connection.on_call = lambda call: taken.append(call.field(HeaderFields.member))
        connection.on_signal = lambda signal: taken.append(signal.field(HeaderFields.member))
        connection.ask(message_bus.GetId())
        taken.clear()
        for name, length in (("TooLong", MAX_OCTETS + 1), ("Dimmed", 1)):
            signal = new_signal(DBusAddress("/lamp", interface=NAME), name, "s", ("x" * length,))
            signal.header.fields[HeaderFields.destination] = connection.name
            caller.send(signal)
        caller.send(new_method_call(DBusAddress("/lamp", connection.name, NAME), "Switch"))
        connection.serve(until=lambda: "Switch" in taken)
    assert taken == ["Dimmed", "Switch"]


def test_timers_in_their_order(bus: SessionBus) -> None:
    """The earliest first, whenever it was set."""
    rang: list[str] = []
    with Bus() as connection:
        connection.later(0.02, lambda: rang.append("late"))
        connection.later(0.0, lambda: rang.append("early"))
        connection.serve(until=lambda: len(rang) == 2)
    assert rang == ["early", "late"]


def test_waking(bus: SessionBus) -> None:
    """From another thread, however often; after the end it does nothing."""
    woken = threading.Event()
    with Bus() as connection:
        connection.on_wake = woken.set

        def wake() -> None:
            for _ in range(100_000):
                connection.wake()

        other = threading.Thread(target=wake)
        other.start()
        connection.serve(until=woken.is_set)
        other.join()
    connection.wake()


def test_the_bus_goes_away(bus: SessionBus) -> None:
    """Who serves is told, and so is who wants to talk."""
    with Bus() as connection:
        bus.stop()
        with pytest.raises(BusLostError):
            connection.serve(until=lambda: False)
        with pytest.raises(BusLostError):
            connection.send(message_bus.GetId())
