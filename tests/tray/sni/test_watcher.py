import pytest
from jeepney import HeaderFields
from jeepney.bus_messages import message_bus

from fakes.dbus_messages import signal
from fakes.session_bus import SessionBus
from fakes.status_notifier import Watcher
from sockslocal_tray.sni import bus as bus_module
from sockslocal_tray.sni import watcher
from sockslocal_tray.sni.bus import Bus
from sockslocal_tray.sni.watcher import Registration

ITEM = "org.kde.StatusNotifierItem-4711-1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "_FIRST_PAUSE", 0.001)


def registration(bus: Bus) -> Registration:
    """One that is told of the bus's signals."""
    one = Registration(bus, ITEM)
    bus.on_signal = one.on_signal
    return one


def owner(bus: Bus, name: str) -> str | None:
    """Who has the name now."""
    reply = bus.ask(message_bus.GetNameOwner(name), gives="s")
    return reply.body[0] if reply else None


def test_a_watcher_that_is_there(bus: SessionBus) -> None:
    """It is told once, under the name that the specification wants, which is taken before."""
    with Watcher(bus) as there, Bus() as connection:
        registration(connection).start()
        connection.serve(until=lambda: bool(there.items))
        assert there.items == [ITEM]
        assert owner(connection, ITEM) == connection.name
    assert there.calls == ["RegisterStatusNotifierItem"]


def test_a_watcher_that_comes(bus: SessionBus) -> None:
    """It is told as soon as it has its name, and so is every one after it."""
    with Bus() as connection:
        registration(connection).start()
        for _ in range(3):
            with Watcher(bus) as new:
                connection.serve(until=lambda new=new: bool(new.items))  # type: ignore[misc]
                assert set(new.items) == {ITEM}  # one that came just when it was told is told again


def test_a_watcher_that_is_not_ready(bus: SessionBus) -> None:
    """It is asked again, a little later each time."""
    with Watcher(bus, busy=3) as there, Bus() as connection:
        registration(connection).start()
        connection.serve(until=lambda: bool(there.items))
        assert there.items == [ITEM]


def test_a_watcher_that_never_is(bus: SessionBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is let alone in the end: nothing is left to wake up for."""
    monkeypatch.setattr(bus_module, "_ANSWER_SECONDS", 0.5)
    with Watcher(bus, busy=1_000) as there, Bus() as connection:
        registration(connection).start()
        connection.serve(until=lambda: not connection._timers)
    assert there.calls == ["RegisterStatusNotifierItem"] * 5


def test_an_item_that_hides(bus: SessionBus) -> None:
    """Its name is gone, by which watchers know it; later ones are told nothing."""
    with Bus() as connection:
        one = registration(connection)
        with Watcher(bus) as there:
            one.start()
            connection.serve(until=lambda: bool(there.items))
            one.stop()
            assert owner(connection, ITEM) is None
        with Watcher(bus) as later:
            connection.serve(until=lambda: owner(connection, watcher.NAME) is not None)
            connection.ask(message_bus.GetId())
            assert later.items == []
            one.start()
            connection.serve(until=lambda: bool(later.items))


def test_who_lies_about_owners(bus: SessionBus) -> None:
    """Only the bus itself is believed about names; anybody may send a signal that says the same."""
    with Watcher(bus) as there, Bus() as connection, bus.connect() as liar:
        registration(connection).start()
        connection.serve(until=lambda: bool(there.items))
        dbus = "org.freedesktop.DBus"
        lie = signal("/org/freedesktop/DBus", dbus, "NameOwnerChanged", "sss", watcher.NAME, "", ":1.99")
        lie.header.fields[HeaderFields.destination] = connection.name
        liar.send(lie)
        liar.send_and_get_reply(message_bus.GetId())
        connection.ask(message_bus.GetId())
        connection.ask(message_bus.GetId())
        assert there.items == [ITEM]
