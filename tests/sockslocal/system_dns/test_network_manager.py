from pathlib import Path

import pytest

from fakes.system_dns import BY_NETWORK_MANAGER, plain, with_network_manager
from sockslocal.system_dns import backends
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import NETWORK_MANAGER_DROP_IN, RESOLV_CONF
from sockslocal.system_dns.network_manager import NetworkManager
from sockslocal.system_dns.transaction import Transaction


def test_it_is_there_where_it_runs_and_writes_resolv_conf(tmp_path: Path) -> None:
    """Each alone is not enough."""
    machine = with_network_manager(tmp_path / "with")
    assert NetworkManager(machine.system).is_there()
    machine.active.clear()
    assert not NetworkManager(machine.system).is_there()
    other = plain(tmp_path / "without")
    other.active = {"NetworkManager"}
    assert not NetworkManager(other.system).is_there()


def test_why_it_does_not_ask_us(tmp_path: Path) -> None:
    """Its file was changed, or it did not write resolv.conf."""
    machine = with_network_manager(tmp_path)
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    journal = transaction.apply(53, fail_open=True).journal
    assert transaction.fault(journal) == ""
    machine.write(RESOLV_CONF, BY_NETWORK_MANAGER)
    assert transaction.fault(journal).startswith("NetworkManager did not put")
    (tmp_path / NETWORK_MANAGER_DROP_IN).unlink()
    assert transaction.fault(journal) == f"/{NETWORK_MANAGER_DROP_IN} was changed by somebody else"


def test_one_that_does_not_run_any_more_is_not_reloaded(tmp_path: Path) -> None:
    """Its file goes all the same."""
    machine = with_network_manager(tmp_path)
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    transaction.apply(53, fail_open=True)
    machine.active.clear()
    machine.failing = {"nmcli general reload"}
    assert transaction.restore().was_switched
    assert not (tmp_path / NETWORK_MANAGER_DROP_IN).exists()


def test_it_knows_no_ports(tmp_path: Path) -> None:
    """Nothing but 53, which has to lead to the resolver."""
    machine = with_network_manager(tmp_path)
    machine.port = 5399
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    assert transaction.apply(5399, fail_open=True).journal.redirect
    machine.has_nft = False
    with pytest.raises(RefusedError, match="NetworkManager can ask port 53 only"):
        transaction.apply(5400, fail_open=True)
