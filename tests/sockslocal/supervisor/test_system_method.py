import dataclasses
from pathlib import Path
from unittest import mock

import pytest

from fakes.system_dns import plain
from sockslocal.supervisor import system_method
from sockslocal.supervisor.system_method import SystemMethod
from sockslocal.system_dns import backends
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction


def test_it_is_as_the_journal_says_now(tmp_path: Path) -> None:
    """When it comes, when another one takes its place, when it is written over, and when it goes."""
    machine = plain(tmp_path)
    method, other = (SystemMethod({port}, machine.system) for port in (53, 5399))
    assert (method.now, other.now) == ("", "")
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    journal = transaction.apply(53, fail_open=True, last_resort=True).journal
    assert (method.now, other.now) == ("resolv.conf", "")
    store = Store(machine.root)
    store.write(dataclasses.replace(journal, port=5399))
    assert (method.now, other.now) == ("", "resolv.conf")
    store.path.write_bytes(b"")
    assert (method.now, other.now) == ("", "")
    store.write(journal)
    assert method.now == "resolv.conf"
    store.remove()
    assert method.now == ""


def test_it_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a status is shown; where there is none, not even that."""
    machine = plain(tmp_path)
    reading = mock.Mock(return_value="a test")
    monkeypatch.setattr(system_method, "method_at", reading)
    method = SystemMethod({53}, machine.system)
    assert [method.now, method.now, reading.call_count] == ["", "", 0]
    path = Store(machine.root).path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"journal")
    assert [method.now, method.now, reading.call_count] == ["a test", "a test", 1]
