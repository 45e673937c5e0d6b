"""The commands of Windows, against a runner that plays its registry; never run there."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from sockslocal.system_dns import backends
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.system import Done, System
from sockslocal.system_dns.transaction import Transaction
from sockslocal.system_dns.windows import KEY


class Windows:
    """The registry's values below our key, and the other commands."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, str]] = {}
        self.others: list[tuple[str, ...]] = []

    def run(self, command: Sequence[str], _text: str) -> Done:
        match list(command):
            case ["reg", "add", key, "/v", name, "/t", kind, "/d", value, "/f"] if key == KEY:
                self.values[name] = (kind, value)
            case ["reg", "query", key, *rest] if key == KEY:
                return Done(0 if self.values.keys() >= set(rest[1:]) and self.values else 1)
            case ["reg", "delete", key, "/f"] if key == KEY:
                self.values.clear()
            case ["powershell", *_]:
                return Done(0, "192.0.2.1\r\n192.0.2.1\r\nfec0::1\r\n127.0.0.1\r\n")
            case _:
                self.others.append(tuple(command))
        return Done(0)


def test_a_rule_of_our_own_claims_all_names(tmp_path: Path) -> None:
    """Port 53 only; `restore`, also without a journal, takes it away."""
    windows = Windows()
    system = System(root=tmp_path, run=windows.run)
    transaction = Transaction(system, backends.of(system, "win32"))
    with pytest.raises(RefusedError, match="port 53 only"):
        transaction.apply(5399, fail_open=True)
    journal = transaction.apply(53, fail_open=True).journal
    assert journal.servers == ("192.0.2.1", "fec0::1")
    assert windows.values == {
        "Name": ("REG_MULTI_SZ", "."),
        "GenericDNSServers": ("REG_SZ", "127.0.0.1"),
        "ConfigOptions": ("REG_DWORD", "8"),
        "Version": ("REG_DWORD", "2"),
    }
    assert transaction.fault(journal) == ""
    assert transaction.restore().was_switched
    assert windows.values == {}
    assert transaction.fault(journal) == "the rule for all names is gone"
    transaction.apply(53, fail_open=True)
    Store(tmp_path).remove()
    assert transaction.restore().was_switched
    assert not transaction.restore().was_switched
    assert windows.values == {}
    assert set(windows.others) == {("ipconfig", "/flushdns")}
