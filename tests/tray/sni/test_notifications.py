from collections.abc import Iterator
from typing import Any

import pytest
from jeepney import HeaderFields, Message, new_error, new_method_return

from fakes.dbus_messages import signal
from fakes.session_bus import SessionBus, StandIn
from sockslocal_tray.sni.bus import Bus
from sockslocal_tray.sni.notifications import Notice, Notifications

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"


class Server(StandIn):
    """Numbers notifications from 1 on, and keeps what it was asked for."""

    def __init__(self, bus: SessionBus, *capabilities: str, broken: bool = False) -> None:
        super().__init__(bus, NAME, self._respond)
        self.shown: list[tuple[Any, ...]] = []
        self.closed: list[int] = []
        self.capabilities = list(capabilities)
        self._broken = broken

    def _respond(self, call: Message) -> Message | None:
        if self._broken:
            return new_error(call, "org.freedesktop.DBus.Error.Failed")
        match call.header.fields[HeaderFields.member]:
            case "GetCapabilities":
                return new_method_return(call, "as", (self.capabilities,))
            case "Notify":
                self.shown.append(call.body)
                return new_method_return(call, "u", (call.body[1] or len(self.shown),))
            case _:
                self.closed.append(call.body[0])
                return new_method_return(call)

    def says(self, name: str, signature: str, *body: object) -> None:
        """Send one of its signals."""
        self.tell(signal(PATH, NAME, name, signature, *body))


class Shower:
    """Notifications on a bus that is served as long as it takes."""

    def __init__(self, connection: Bus) -> None:
        self.bus = connection
        self.notifications = Notifications(connection, "sockslocal")
        connection.on_signal = self.notifications.on_signal

    def settle(self) -> None:
        """Serve until nothing is waited for."""
        self.bus.serve(until=lambda: not self.bus._answers)

    def show(self, category: object, notice: Notice) -> None:
        """Show it, and wait until it is."""
        self.notifications.show(category, notice)
        self.settle()


@pytest.fixture
def shower(bus: SessionBus) -> Iterator[Shower]:
    """Notifications to be shown."""
    with Bus() as connection:
        yield Shower(connection)


def test_a_notification(bus: SessionBus, shower: Shower) -> None:
    """All of it, for a server that can do all."""
    image = (1, 1, 4, True, 8, 4, b"\xff\x80\x01\xff")
    with Server(bus, "actions", "body", "body-markup") as server:
        buttons = [("Log in…", list), ("Doctor", list)]
        shower.show("server", Notice("Wrong password", "<office> & co", "critical", buttons, image))
    assert server.shown == [
        (
            "sockslocal",
            0,
            "",
            "Wrong password",
            "&lt;office&gt; &amp; co",
            ["default", "Log in…", "0", "Log in…", "1", "Doctor"],
            {
                "urgency": ("y", 2),
                "desktop-entry": ("s", "sockslocal"),
                "image-data": ("(iiibiiay)", image),
            },
            -1,
        )
    ]


def test_a_server_that_can_do_little(bus: SessionBus, shower: Shower) -> None:
    """It gets plain text and no buttons."""
    with Server(bus) as server:
        shower.show("server", Notice("Wrong password", "<office>", actions=[("Log in…", list)]))
    ((_, _, _, _, body, actions, hints, _),) = server.shown
    assert (body, actions) == ("<office>", [])
    assert hints == {"urgency": ("y", 1), "desktop-entry": ("s", "sockslocal")}


def test_what_is_new_takes_the_place_of_what_is_old(bus: SessionBus, shower: Shower) -> None:
    """Within its category."""
    with Server(bus) as server:
        shower.show("server", Notice("lost", ""))
        shower.show("dns", Notice("no DNS", ""))
        shower.show("server", Notice("back", ""))
    assert [(shown[3], shown[1]) for shown in server.shown] == [("lost", 0), ("no DNS", 0), ("back", 1)]


def test_only_the_last_of_many_in_a_row(bus: SessionBus, shower: Shower) -> None:
    """What was never seen is not shown any more."""
    with Server(bus) as server:
        for number in range(100):
            shower.notifications.show("server", Notice(str(number), ""))
        shower.settle()
    assert server.shown[-1][3] == "99"
    assert len(server.shown) < 3
    assert len({shown[1] or 1 for shown in server.shown}) == 1


def test_buttons(bus: SessionBus, shower: Shower) -> None:
    """The one that was chosen is called; a click on the notification itself is the first."""
    chosen: list[str] = []
    buttons = [(label, lambda label=label: chosen.append(label)) for label in ("Log in…", "Doctor")]
    with Server(bus, "actions") as server:
        shower.show("server", Notice("Wrong password", "", actions=buttons))
        for key in ("1", "default", "0", "7", "nonsense"):
            server.says("ActionInvoked", "us", 1, key)
        server.says("ActionInvoked", "us", 99, "1")
        server.says("ActivationToken", "us", 1, "token")
        server.says("ActionInvoked", "us", 1, "1")
        shower.bus.serve(until=lambda: len(chosen) == 4)
    assert chosen == ["Doctor", "Log in…", "Log in…", "Doctor"]


def test_who_is_not_the_server(bus: SessionBus, shower: Shower) -> None:
    """Whoever guesses the number is not believed."""
    chosen: list[str] = []
    buttons = [("Log in…", lambda: chosen.append("chosen"))]
    with Server(bus, "actions") as server, bus.connect() as liar:
        shower.show("server", Notice("Wrong password", "", actions=buttons))
        lie = signal(PATH, NAME, "ActionInvoked", "us", 1, "0")
        lie.header.fields[HeaderFields.destination] = shower.bus.name
        liar.send(lie)
        liar.send(signal(PATH, "org.example.Other", "ActionInvoked", "us", 1, "0"))
        liar.close()
        server.says("ActionInvoked", "us", 1, "0")
        shower.bus.serve(until=lambda: bool(chosen))
    assert chosen == ["chosen"]


def test_taking_back(bus: SessionBus, shower: Shower) -> None:
    """One category, or all; what is not there any more is not asked for."""
    with Server(bus) as server:
        for category in ("server", "dns", "port"):
            shower.show(category, Notice(category, ""))
        shower.notifications.close("dns")
        shower.notifications.close("dns")
        shower.notifications.close("unknown")
        shower.settle()
        assert server.closed == [2]
        shower.notifications.close_all()
        shower.settle()
        assert server.closed == [2, 1, 3]
        assert shower.notifications._categories == {}


def test_taking_back_what_is_just_being_shown(bus: SessionBus, shower: Shower) -> None:
    """Before it is: then it never is. And shown again in the same moment: then it is, once."""
    with Server(bus) as server:
        shower.notifications.show("server", Notice("lost", ""))
        shower.notifications.close("server")
        shower.settle()
        assert server.shown == []
        shower.show("dns", Notice("no DNS", ""))
        shower.notifications.close("dns")
        shower.notifications.show("dns", Notice("still no DNS", ""))
        shower.settle()
    assert [(shown[3], shown[1]) for shown in server.shown] == [("no DNS", 0), ("still no DNS", 0)]


def test_what_the_user_closed(bus: SessionBus, shower: Shower) -> None:
    """It is not to be taken back, and what follows is a new one."""
    with Server(bus) as server:
        shower.show("server", Notice("lost", ""))
        server.says("NotificationClosed", "uu", 1, 2)
        shower.bus.serve(until=lambda: not shower.notifications._categories)
        shower.notifications.close("server")
        shower.show("server", Notice("back", ""))
    assert [shown[1] for shown in server.shown] == [0, 0]
    assert server.closed == []


@pytest.mark.parametrize("there", [True, False])
def test_nobody_who_shows_it(
    bus: SessionBus, shower: Shower, *, there: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next one is tried as ever."""
    if there:
        with Server(bus, broken=True):
            shower.show("server", Notice("lost", ""))
    else:
        shower.show("server", Notice("lost", ""))
    assert "no notification server showed: lost" in caplog.text
    with Server(bus) as server:
        shower.show("server", Notice("back", ""))
    assert [shown[3] for shown in server.shown] == ["back"]


def test_taking_back_what_nobody_showed(bus: SessionBus, shower: Shower) -> None:
    """There is nothing to close."""
    shower.show("server", Notice("lost", ""))
    with Server(bus) as server:
        shower.notifications.close("server")
        shower.settle()
    assert server.calls == []
    assert shower.notifications._categories == {}


def test_a_bound(bus: SessionBus, shower: Shower) -> None:
    """However many there are, only some are kept in mind."""
    with Server(bus) as server:
        for _ in range(100):
            shower.show(object(), Notice("one more", ""))
    assert len(server.shown) == 100
    assert len(shower.notifications._categories) == 32
