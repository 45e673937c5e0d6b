from pathlib import Path

import pytest

from fakes.system_dns import plain, with_resolved
from sockslocal.system_dns import backends
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import RESOLVED_DROP_IN
from sockslocal.system_dns.resolved import Resolved
from sockslocal.system_dns.transaction import Transaction


@pytest.mark.parametrize(
    ("nsswitch", "there"),
    [
        (b"passwd: files\nhosts: mymachines resolve [!UNAVAIL=return] files dns\n", True),
        (b"hosts: files dns\n", False),
        (b"passwd: files\n", False),
    ],
)
def test_where_resolv_conf_does_not_lead_there_nsswitch_may(
    tmp_path: Path,
    nsswitch: bytes,
    there: bool,  # noqa: FBT001  the table's column
) -> None:
    """That it runs is not enough: programs have to ask it."""
    machine = plain(tmp_path)
    machine.write("etc/nsswitch.conf", nsswitch)
    assert not Resolved(machine.system).is_there()
    machine.active = {"systemd-resolved"}
    assert Resolved(machine.system).is_there() is there


def test_an_old_one_can_ask_port_53_only(tmp_path: Path) -> None:
    """Before version 246 its servers had no ports: port 53 leads to the resolver's."""
    machine = with_resolved(tmp_path)
    machine.version = "systemd 245 (245.4)\n"
    machine.port = 5399
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    journal = transaction.apply(5399, fail_open=True).journal
    assert (journal.port, journal.redirect) == (5399, True)
    assert b"\nDNS=127.0.0.1\n" in (tmp_path / RESOLVED_DROP_IN).read_bytes()
    assert not transaction.apply(53, fail_open=True).journal.redirect


def test_why_it_does_not_ask_us(tmp_path: Path) -> None:
    """Its drop-in was changed, or it has not read it."""
    machine = with_resolved(tmp_path)
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    journal = transaction.apply(5399, fail_open=True).journal
    assert transaction.fault(journal) == ""
    machine.failing = {"resolvectl dns"}
    assert transaction.fault(journal) == "resolvectl dns: it failed"
    (tmp_path / RESOLVED_DROP_IN).write_bytes(b"[Resolve]\n")
    assert transaction.fault(journal) == f"/{RESOLVED_DROP_IN} was changed by somebody else"


def test_one_that_asks_somebody_else_is_undone(tmp_path: Path) -> None:
    """A drop-in of a later name took ours back."""
    machine = with_resolved(tmp_path)
    before = machine.picture()
    machine.overruled = True
    with pytest.raises(RefusedError, match="does not name the resolver"):
        Transaction(machine.system, backends.of(machine.system, "linux")).apply(5399, fail_open=True)
    assert machine.picture() == before
