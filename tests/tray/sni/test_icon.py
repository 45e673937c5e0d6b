import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jeepney import HeaderFields, Message, new_method_return
from jeepney.wrappers import DBusErrorResponse
from PIL import Image

from fakes.dbus_messages import signal
from fakes.session_bus import SessionBus, StandIn
from fakes.status_notifier import ITEM, MENU, Panel, Watcher
from fakes.waiting import wait_until
from sockslocal_tray.base import Menu, MenuItem
from sockslocal_tray.sni import bus as bus_module
from sockslocal_tray.sni import icon as icon_module
from sockslocal_tray.sni.bus import BusLostError
from sockslocal_tray.sni.icon import Icon
from sockslocal_tray.sni.values import SIZES

RED = Image.new("RGBA", (64, 64), (255, 0, 0, 255))
GREEN = Image.new("RGBA", (64, 64), (0, 255, 0, 255))


class Application:
    """What stands behind the icon: a switch, and what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.on = False
        self.text = "Connecting"
        self.icon = Icon("sockslocal", RED, "office", self.menu(), on_middle_click=self.middle)

    def menu(self) -> Menu:
        """A state line, a switch and the end."""
        return Menu(
            MenuItem(lambda _: self.text, self.status, default=True),
            MenuItem("On", self.toggle, checked=lambda _: self.on),
            MenuItem("Break", self.fail),
            MenuItem("Quit", self.quit),
        )

    def status(self) -> None:
        """A left click."""
        self.done.append("status")

    def middle(self) -> None:
        """A middle click."""
        self.done.append("middle")

    def toggle(self) -> None:
        """What changes the menu."""
        self.on = not self.on

    def fail(self) -> None:
        """A bug."""
        raise ZeroDivisionError

    def quit(self) -> None:
        """The end, from within."""
        self.icon.stop()


@contextmanager
def running(icon: Icon) -> Iterator[threading.Thread]:
    """The icon, served by a thread until the end of the block."""
    thread = threading.Thread(target=icon.run, name="served")
    thread.start()
    try:
        yield thread
    finally:
        icon.stop()
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def announced(bus: SessionBus) -> Iterator[Callable[[], Panel]]:
    """Makes a panel for the item that is announced last."""
    panels: list[Panel] = []
    with Watcher(bus) as watcher:

        def panel() -> Panel:
            watcher.wait_for("RegisterStatusNotifierItem")
            panels.append(Panel(bus, watcher.items[-1]))
            return panels[-1]

        yield panel
        for one in panels:
            one.close()


@pytest.fixture
def application() -> Application:
    """One whose icon does not run yet."""
    return Application()


@pytest.fixture
def panel(bus: SessionBus, application: Application) -> Iterator[Panel]:
    """A panel that shows the application's icon."""
    with announced(bus) as panel, running(application.icon):
        yield panel()


def test_it_is_announced_by_its_name(bus: SessionBus, application: Application) -> None:
    """Once, by the process's number and its own; it has both objects then, and all of them filled."""
    with Watcher(bus) as watcher, running(application.icon):
        watcher.wait_for("RegisterStatusNotifierItem")
        (name,) = watcher.items
        assert name.rpartition("-")[0] == f"org.kde.StatusNotifierItem-{os.getpid()}"
        panel = Panel(bus, name)
        shown = panel.properties(ITEM)
        assert (shown["Id"], shown["Title"], shown["Status"]) == ("sockslocal", "office", "Active")
        assert [width for width, _, _ in shown["IconPixmap"]] == list(SIZES)
        assert list(panel.labels()) == ["Connecting", "On", "Break", "Quit"]
        panel.close()
    assert watcher.calls == ["RegisterStatusNotifierItem"]


def test_clicks(panel: Panel, application: Application) -> None:
    """On the icon, and on a row; the menu is looked at after each."""
    panel.call(ITEM, "Activate", "ii", 1, 2)
    panel.call(ITEM, "SecondaryActivate", "ii", 1, 2)
    panel.choose("On")
    assert application.done == ["status", "middle"]
    assert panel.next_signals(until="ItemsPropertiesUpdated") == [
        ("ItemsPropertiesUpdated", ([(2, {"toggle-state": ("i", 1)})], []))
    ]


def test_a_bug_behind_a_click(
    panel: Panel, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the icon lives on."""
    panel.choose("Break")
    panel.call(ITEM, "Activate", "ii", 1, 2)
    assert application.done == ["status"]
    assert "ZeroDivisionError" in caplog.text


def test_what_other_threads_change(panel: Panel, application: Application) -> None:
    """Each change is told by its own signals, and by no others."""
    application.icon.title = "home"
    assert [name for name, _ in panel.next_signals(until="NewToolTip")] == [
        "PropertiesChanged",
        "NewTitle",
        "PropertiesChanged",
        "NewToolTip",
    ]
    application.icon.icon = GREEN
    assert [name for name, _ in panel.next_signals(until="NewIcon")] == ["PropertiesChanged", "NewIcon"]
    assert panel.properties(ITEM)["IconPixmap"][0][2][:4] == b"\xff\x00\xff\x00"
    application.text = "Connected"
    application.icon.update_menu()
    assert panel.next_signals(until="ItemsPropertiesUpdated") == [
        ("ItemsPropertiesUpdated", ([(1, {"label": ("s", "Connected")})], []))
    ]
    application.icon.menu = Menu(MenuItem("Quit", application.quit))
    assert panel.next_signals(until="LayoutUpdated") == [("LayoutUpdated", (3, 0))]


def test_nothing_new_is_not_told(panel: Panel, application: Application) -> None:
    """A thousand updates of what is as it was are silent."""
    for _ in range(1_000):
        application.icon.icon = RED
        application.icon.menu = application.menu()
    application.icon.title = "home"
    assert [name for name, _ in panel.next_signals(until="NewTitle")] == ["PropertiesChanged", "NewTitle"]


def test_hiding_and_showing(bus: SessionBus, application: Application) -> None:
    """It is passive and off the bus, and then announced anew."""
    with Watcher(bus) as watcher, running(application.icon):
        watcher.wait_for("RegisterStatusNotifierItem")
        panel = Panel(bus, watcher.items[0])
        application.icon.visible = False
        assert panel.next_signals(until="NewStatus")[-1] == ("NewStatus", ("Passive",))
        wait_until(lambda: not bus.has(watcher.items[0]), seconds=10, what="the name's release")
        application.icon.visible = True
        wait_until(lambda: len(watcher.items) == 2, seconds=10, what="another announcement")
        panel.close()


def test_no_panel(bus: SessionBus, application: Application) -> None:
    """It waits for one."""
    with running(application.icon), announced(bus) as panel:
        assert panel().properties(ITEM)["Title"] == "office"


def test_a_panel_that_is_restarted(bus: SessionBus, application: Application) -> None:
    """The icon is announced to the new one."""
    with running(application.icon):
        for _ in range(2):
            with announced(bus) as panel:
                assert panel().properties(ITEM)["Title"] == "office"


def test_the_end_from_within(bus: SessionBus, application: Application) -> None:
    """Who chose the row gets the answer, and the icon is gone."""
    with announced(bus) as panel, running(application.icon) as thread:
        panel().choose("Quit")
        thread.join(10)
        assert not thread.is_alive()


def test_hostile_calls(panel: Panel, application: Application) -> None:
    """Each is refused, and the icon answers as ever."""
    hostile: list[tuple[str, str, str, tuple[Any, ...]]] = [
        (ITEM, "Activate", "ss", ("here", "there")),
        (ITEM, "Activate", "", ()),
        (ITEM, "Explode", "", ()),
        (MENU, "Event", "isvu", (-1, "clicked", ("ai", [1]), 0)),
        (
            MENU,
            "EventGroup",
            "a(isvu)",
            ([(number, "clicked", ("i", 0), 0) for number in range(100, 5_000)],),
        ),
        (MENU, "GetGroupProperties", "aias", (list(range(100_000)), [])),
        (MENU, "GetLayout", "iias", (2**31 - 1, -(2**31), [])),
        (MENU, "GetProperty", "is", (0, "x" * 1_000_000)),
    ]
    for interface, method, signature, body in hostile:
        with pytest.raises(DBusErrorResponse):
            panel.call(interface, method, signature, *body)
    assert panel.properties(ITEM)["Title"] == "office"
    assert application.done == []


def test_a_bug_in_the_menu_or_the_picture(
    panel: Panel, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    """What was shown stays."""

    class Undrawable:
        def at(self, size: int) -> Image.Image:
            raise ZeroDivisionError

    def unspeakable(_: MenuItem) -> str:
        raise ZeroDivisionError

    application.icon.menu = Menu(MenuItem(unspeakable, None))
    application.icon.icon = Undrawable()
    application.icon.title = "home"
    panel.next_signals(until="NewTitle")
    assert list(panel.labels()) == ["Connecting", "On", "Break", "Quit"]
    assert panel.properties(ITEM)["IconPixmap"][0][2][:4] == b"\xff\xff\x00\x00"
    assert caplog.text.count("ZeroDivisionError") >= 2


def test_the_bus_goes_away(bus: SessionBus, application: Application) -> None:
    """Whoever runs the icon is told; ending it and changing it then is harmless."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            application.icon.run()
        except BusLostError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    with announced(bus) as panel:
        thread.start()
        panel()
    bus.stop()
    thread.join(10)
    assert len(errors) == 1
    application.icon.title = "home"
    application.icon.stop()


def test_the_bus_goes_away_at_the_start(
    bus: SessionBus, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that pystray starts does not wait for what never comes."""

    def gone(*_: object, **__: object) -> None:
        raise BusLostError

    monkeypatch.setattr(icon_module, "Session", gone)
    with pytest.raises(BusLostError):
        application.icon.run()
    application.icon._setup_thread.join(10)
    assert not application.icon._setup_thread.is_alive()


def test_no_bus(application: Application) -> None:
    """It is told, and no thread is left waiting."""
    before = threading.active_count()
    with pytest.raises(BusLostError):
        application.icon.run()
    with pytest.raises(BusLostError):
        application.icon.run_detached()
    assert threading.active_count() == before


def test_stopped_before_it_runs(bus: SessionBus, application: Application) -> None:
    """Then it does not."""
    application.icon.stop()
    application.icon.run()


def test_detached(bus: SessionBus, application: Application, caplog: pytest.LogCaptureFixture) -> None:
    """It is served by a thread of its own, which ends with it; or with the bus, which is logged."""
    with announced(bus) as panel:
        application.icon.run_detached(setup=lambda icon: setattr(icon, "visible", True))
        assert panel().properties(ITEM)["Status"] == "Active"
        application.icon.stop()
        wait_until(lambda: not served(), seconds=10, what="the thread's end")
    other = Application()
    other.icon.run_detached()
    bus.stop()
    wait_until(lambda: not served(), seconds=10, what="the thread's end")
    assert "the tray icon is gone" in caplog.text


def served() -> bool:
    """Whether an icon is served."""
    return any(thread.name == "tray icon" for thread in threading.enumerate())


class Notifier(StandIn):
    """A notification server that shows everything."""

    def __init__(self, bus: SessionBus) -> None:
        super().__init__(bus, "org.freedesktop.Notifications", self._respond)
        self.shown: list[tuple[Any, ...]] = []
        self.closed: list[int] = []

    def _respond(self, call: Message) -> Message | None:
        match call.header.fields[HeaderFields.member]:
            case "GetCapabilities":
                return new_method_return(call, "as", (["actions"],))
            case "Notify":
                self.shown.append(call.body)
                return new_method_return(call, "u", (len(self.shown),))
            case _:
                self.closed.append(call.body[0])
                return new_method_return(call)


def test_notifications(bus: SessionBus, application: Application) -> None:
    """They have the icon and its title, and a button does what it says in the thread that serves."""
    chosen: list[str] = []
    name = "org.freedesktop.Notifications"
    with Notifier(bus) as notifier, running(application.icon):
        log_in = [("Log in…", lambda: chosen.append(threading.current_thread().name))]
        application.icon.notify("Wrong password", replaces="server", actions=log_in)
        wait_until(lambda: len(notifier.shown) == 1, seconds=10, what="a notification")
        ((_, _, _, title, text, actions, hints, _),) = notifier.shown
        assert (title, text, actions) == ("office", "Wrong password", ["default", "Log in…", "0", "Log in…"])
        assert hints["image-data"][1][:6] == (48, 48, 192, True, 8, 4)
        notifier.tell(signal("/org/freedesktop/Notifications", name, "ActionInvoked", "us", 1, "0"))
        wait_until(lambda: chosen == ["served"], seconds=10, what="the action")
        application.icon.notify("Unknown host", "DNS", urgency="low")
        wait_until(lambda: len(notifier.shown) == 2, seconds=10, what="another notification")
        assert notifier.shown[1][3] == "DNS"
        application.icon.remove_notification("server")
        wait_until(lambda: notifier.closed == [1], seconds=10, what="the end of the first")
        application.icon.remove_notification()
        wait_until(lambda: notifier.closed == [1, 2], seconds=10, what="the end of all")


def test_it_sleeps(bus: SessionBus, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to do, it waits for the bus, and not for a time."""
    monkeypatch.setattr(bus_module, "_ANSWER_SECONDS", 0.5)
    with announced(bus) as panel, running(application.icon):
        panel()
        connection = application.icon._bus
        assert connection is not None
        wait_until(lambda: not connection._timers, seconds=10, what="the last deadline's end")
