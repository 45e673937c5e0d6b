"""What holds for every test: none sees the user's files, keyring or network."""

import ipaddress
import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("house", deadline=None)  # no test is about the time it takes
hypothesis.settings.load_profile("house")

_FROM_THE_USER = ("SOCKSLOCAL_", "XDG_", "DBUS_", "CREDENTIALS_DIRECTORY")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder of the test's own, no keyring, and no proxy that the user may have set."""
    for name in [*os.environ]:
        if name.startswith(_FROM_THE_USER) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


def _leaves_the_machine(address: object) -> bool:
    if not isinstance(address, tuple):
        return False  # a Unix socket
    try:
        host = ipaddress.ip_address(address[0])
    except ValueError:
        return False  # a name, which becomes an address before it is connected to
    host = getattr(host, "ipv4_mapped", None) or host
    return not (host.is_loopback or host.is_unspecified)


def _network() -> str:
    """That of the calling thread; fakes/networks.py makes others, which lead nowhere."""
    return str(Path("/proc/thread-self/ns/net").readlink()) if sys.platform == "linux" else ""


_MACHINES = _network()


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    reaches = event in ("socket.connect", "socket.sendto") and _leaves_the_machine(arguments[1])
    if reaches and _network() == _MACHINES:
        raise RuntimeError(f"a test tried to reach {arguments[1]}: tests stay on loopback")


def pytest_configure() -> None:
    """From here on, a test that would talk to another machine fails where it tries.

    And what tests start can be interrupted: a shell has what it runs in the background ignore Ctrl-C.
    """
    sys.addaudithook(_watch)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
