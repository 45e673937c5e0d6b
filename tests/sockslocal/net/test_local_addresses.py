import socket
from types import SimpleNamespace

import psutil
import pytest

from sockslocal.net import local_addresses
from sockslocal.net.local_addresses import Local


def entry(address: str, family: int = socket.AF_INET) -> SimpleNamespace:
    """As psutil tells of an address."""
    return SimpleNamespace(address=address, family=family)


def test_addresses_that_lead_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With whether their interface is connected; not loopback, link-local ones and those of cards."""
    interfaces = {
        "lo": [entry("127.0.0.1"), entry("::1", socket.AF_INET6)],
        "eth0": [
            entry("192.0.2.7"),
            entry("2001:db8::7", socket.AF_INET6),
            entry("fe80::7%eth0", socket.AF_INET6),
            entry("02:00:00:00:00:07", -1),
        ],
        "wlan0": [entry("198.51.100.7"), entry("169.254.1.1")],
        "new": [entry("203.0.113.7")],
    }
    states = {"lo": True, "eth0": True, "wlan0": False}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: interfaces)
    monkeypatch.setattr(
        psutil, "net_if_stats", lambda: {name: SimpleNamespace(isup=up) for name, up in states.items()}
    )
    assert local_addresses.look() == {
        Local("192.0.2.7", up=True),
        Local("2001:db8::7", up=True),
        Local("198.51.100.7", up=False),
        Local("203.0.113.7", up=True),
    }


def test_this_machine_can_be_looked_at() -> None:
    """Whatever it has."""
    for address, _ in local_addresses.look():
        assert not address.startswith(("127.", "fe80"))
