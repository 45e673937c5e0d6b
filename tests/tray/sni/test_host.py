import threading

import pytest
from jeepney import DBusAddress, new_signal

from fakes.session_bus import SessionBus
from fakes.status_notifier import WATCHER, Watcher
from sockslocal_tray.sni import host
from sockslocal_tray.sni.bus import BusLostError


def test_a_panel_that_is_there(bus: SessionBus) -> None:
    """It is found at once."""
    with Watcher(bus):
        assert host.appears()


def test_no_panel(bus: SessionBus) -> None:
    """Nobody has the name, or the watcher has nobody who would show an icon."""
    assert not host.appears()
    with Watcher(bus, hosts=False):
        assert not host.appears()


def test_a_panel_that_comes(bus: SessionBus) -> None:
    """It need not be there yet."""
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(host.appears(within=60)))
    waiting.start()
    with Watcher(bus):
        waiting.join(30)
    assert found == [True]


def test_a_panel_that_comes_after_the_watcher(bus: SessionBus) -> None:
    """The watcher tells when it has one."""
    found: list[bool] = []
    with Watcher(bus, hosts=False) as watcher:
        waiting = threading.Thread(target=lambda: found.append(host.appears(within=60)))
        waiting.start()
        watcher.wait_for("Get")
        watcher.hosts = True
        address = DBusAddress("/StatusNotifierWatcher", interface=WATCHER)
        watcher.tell(new_signal(address, "StatusNotifierHostRegistered"))
        waiting.join(30)
    assert found == [True]


def test_no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A login over SSH has none."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/nobody")
    with pytest.raises(BusLostError):
        host.appears(within=60)
