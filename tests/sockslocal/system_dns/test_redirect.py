"""Port 53 before a played nftables; tests/sockslocal/system_dns/test_real_system.py has the real one."""

from pathlib import Path

import pytest

from fakes.system_dns import NFTABLES, Machine, with_a_port
from sockslocal.system_dns import backends, redirect
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import Journal
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One whose resolver is at port 5399."""
    return with_a_port(tmp_path)


@pytest.fixture
def transaction(machine: Machine) -> Transaction:
    """Of that machine."""
    return Transaction(machine.system, backends.of(machine.system, "linux"))


def apply(transaction: Transaction, port: int = 5399) -> Journal:
    """The system asks that port, by resolv.conf."""
    return transaction.apply(port, fail_open=True, last_resort=True).journal


def test_port_53_leads_to_the_resolver_until_it_is_restored(
    machine: Machine, transaction: Transaction
) -> None:
    """The journal knows."""
    journal = apply(transaction)
    assert (journal.port, journal.redirect, machine.leads_to()) == (5399, True, 5399)
    assert transaction.fault(journal) == ""
    transaction.restore()
    assert machine.leads_to() is None


def test_only_a_table_of_ours_is_touched(machine: Machine, transaction: Transaction) -> None:
    """In every text that nftables is given, and of all addresses only 127.0.0.1 with port 53."""
    apply(transaction)
    transaction.restore()
    texts = [text for command, text in zip(machine.commands, machine.texts, strict=True) if "-f" in command]
    assert len(texts) == 2
    for line in "".join(texts).splitlines():
        if "table" in line:
            assert line.partition("table ")[2].split()[:2] == ["ip", redirect.TABLE]
        if "redirect" in line:
            assert "ip daddr 127.0.0.1" in line
            assert "dport 53 " in line


def test_a_resolver_at_port_53_needs_none(machine: Machine, transaction: Transaction) -> None:
    """They are not even looked at."""
    machine.port = 53
    assert not apply(transaction, 53).redirect
    assert not any(command[0] == "nft" for command in machine.commands)


def test_another_port_takes_the_place_of_the_first(machine: Machine, transaction: Transaction) -> None:
    """And port 53 itself has it taken away."""
    apply(transaction)
    machine.port = 5400
    apply(transaction, 5400)
    assert machine.leads_to() == 5400
    machine.port = 53
    apply(transaction, 53)
    assert machine.leads_to() is None


def test_what_listens_at_port_53_is_not_in_the_way_of_anybody(
    machine: Machine, transaction: Transaction
) -> None:
    """Such as dnsmasq, which may be who was asked before: the names of servers are looked up there."""
    machine.owners = {0}
    before = machine.picture()
    with pytest.raises(RefusedError, match="another program listens") as caught:
        apply(transaction)
    assert "ss -lnp" in caught.value.remedy
    assert machine.picture() == before


def test_a_rule_that_is_gone_is_told(machine: Machine, transaction: Transaction) -> None:
    """A firewall was loaded anew, which empties all tables."""
    journal = apply(transaction)
    (machine.root / NFTABLES).unlink()
    assert transaction.fault(journal) == "port 53 of 127.0.0.1 does not lead to port 5399"
    assert transaction.restore().was_switched
    assert Store(machine.root).read() is None


def test_a_rule_that_cannot_be_made_leaves_all_as_it_was(machine: Machine, transaction: Transaction) -> None:
    """As in a container that may not."""
    before = machine.picture()
    machine.failing = {"nft -f -"}
    with pytest.raises(OSError, match="nft -f -: it failed"):
        apply(transaction)
    assert machine.picture() == before
    assert Store(machine.root).read() is None


def test_without_a_journal_it_goes_with_the_file(machine: Machine, transaction: Transaction) -> None:
    """Which shows that there may be one."""
    apply(transaction)
    Store(machine.root).remove()
    assert transaction.restore().was_switched
    assert machine.leads_to() is None
