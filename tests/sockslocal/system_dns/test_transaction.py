from pathlib import Path

import pytest

from fakes.system_dns import BY_HAND, MACHINES, NFTABLES, Machine, plain, plain_link, with_resolved
from sockslocal.system_dns import backends, changes
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import RESOLV_CONF, RESOLVED_DROP_IN, Change
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Applied, Restored, Transaction


def transaction_on(machine: Machine) -> Transaction:
    """As the helper makes one on Linux."""
    return Transaction(machine.system, backends.of(machine.system, "linux"))


def applied_on(machine: Machine, port: int | None = None) -> Applied:
    """The machine, switched to its resolver, or to `port`."""
    return transaction_on(machine).apply(port or machine.port, fail_open=True, last_resort=True)


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """Each kind of machine in turn."""
    return MACHINES[request.param](tmp_path)


def test_what_was_applied_is_restored(machine: Machine) -> None:
    """To the byte, with modes, owners and links; and no journal is left."""
    before = machine.picture()
    applied = applied_on(machine)
    assert machine.is_ours
    assert applied.journal.step == "applied"
    assert transaction_on(machine).restore() == Restored(was_switched=True)
    assert machine.picture() == before
    assert Store(machine.root).read() is None


def test_applying_twice_keeps_what_was_before_the_first(machine: Machine) -> None:
    """The second one has nothing to change, and does not take ours for what was before."""
    before = machine.picture()
    first = applied_on(machine).journal
    second = applied_on(machine).journal
    assert second.token != first.token
    assert second.changes == first.changes
    assert second.servers == first.servers
    transaction_on(machine).restore()
    assert machine.picture() == before


def test_restoring_twice_is_restoring_once(machine: Machine) -> None:
    """The second one finds nothing of ours, and touches nothing."""
    applied_on(machine)
    transaction_on(machine).restore()
    before = machine.picture()
    assert transaction_on(machine).restore() == Restored(was_switched=False)
    assert machine.picture() == before


def test_restoring_what_was_never_switched_changes_nothing(machine: Machine) -> None:
    """Also where somebody else's files stand."""
    before = machine.picture()
    assert transaction_on(machine).restore() == Restored(was_switched=False)
    assert machine.picture() == before


def test_another_port_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """As after a change of the configuration."""
    machine = with_resolved(tmp_path)
    before = machine.picture()
    applied_on(machine, 5399)
    applied_on(machine, 5400)
    assert b"DNS=127.0.0.1:5400\n" in (machine.root / RESOLVED_DROP_IN).read_bytes()
    transaction_on(machine).restore()
    assert machine.picture() == before


@pytest.mark.parametrize("foreign", [b"nameserver 203.0.113.5\n", b""])
def test_a_later_change_of_somebody_else_stays(tmp_path: Path, foreign: bytes) -> None:
    """`restore` never writes over it, and tells of it."""
    machine = plain(tmp_path)
    applied_on(machine)
    target = machine.root / RESOLV_CONF
    target.unlink()
    machine.write(RESOLV_CONF, foreign, 0o600)
    after = machine.picture()
    assert transaction_on(machine).restore() == Restored(was_switched=True, left=("/etc/resolv.conf",))
    assert machine.picture() == after
    assert transaction_on(machine).restore() == Restored(was_switched=False)


def test_a_link_in_place_of_ours_stays(tmp_path: Path) -> None:
    """Somebody installed another resolver meanwhile."""
    machine = plain(tmp_path)
    applied_on(machine)
    (machine.root / RESOLV_CONF).unlink()
    machine.link(RESOLV_CONF, "/run/other/resolv.conf")
    after = machine.picture()
    assert transaction_on(machine).restore().left == ("/etc/resolv.conf",)
    assert machine.picture() == after


def test_applying_after_somebody_elses_change_takes_that_for_what_was_before(tmp_path: Path) -> None:
    """It is what `restore` brings back then."""
    machine = plain(tmp_path)
    applied_on(machine)
    machine.write(RESOLV_CONF, b"nameserver 203.0.113.5\n")
    after = machine.picture()
    assert applied_on(machine).journal.servers == ("203.0.113.5",)
    transaction_on(machine).restore()
    assert machine.picture() == after


def test_what_does_not_work_is_undone_within_5_s(machine: Machine) -> None:
    """The resolver's answers do not come by the system's way: all is as before, and the reason is told."""
    machine.deaf = {"127.0.0.1", "127.0.0.53"}
    before = machine.picture()
    with pytest.raises(RefusedError, match=r"looks no names up|does not lead"):
        applied_on(machine)
    assert machine.picture() == before
    assert Store(machine.root).read() is None
    assert machine.time < 5


def test_a_service_that_does_not_restart_has_all_undone(tmp_path: Path) -> None:
    """Its own word is the reason; the journal stays until its restart works again."""
    machine = with_resolved(tmp_path)
    machine.failing = {"systemctl try-restart systemd-resolved.service"}
    before = machine.picture()
    with pytest.raises(OSError, match="systemd-resolved"):
        applied_on(machine)
    assert machine.picture() == before
    assert Store(machine.root).read() is not None
    machine.failing.clear()
    assert transaction_on(machine).restore().was_switched
    assert Store(machine.root).read() is None


def test_the_journal_is_there_before_anything_changes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the process afterwards, `restore` knows what was: no file has changed."""
    before = machine.picture()
    stores = []

    def note(root: Path, _change: Change) -> None:
        stores.append(Store(root).read())
        now = machine.picture()
        now.pop(NFTABLES, None)
        assert now == before
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(changes, "make", note)
    with pytest.raises(OSError, match="No space"):
        applied_on(machine)
    assert [journal and journal.step for journal in stores] == ["applying"]
    assert machine.picture() == before


def test_plain_resolv_conf_is_asked_for(tmp_path: Path) -> None:
    """Nobody's file is replaced unless the person says so."""
    machine = plain(tmp_path)
    before = machine.picture()
    with pytest.raises(RefusedError, match="neither systemd-resolved nor NetworkManager"):
        transaction_on(machine).apply(53, fail_open=True)
    assert machine.picture() == before


def test_a_port_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    """resolv.conf has no ports, and without nftables port 53 leads nowhere."""
    machine = plain(tmp_path)
    machine.has_nft = False
    before = machine.picture()
    with pytest.raises(RefusedError, match="without nftables"):
        applied_on(machine, 5399)
    assert machine.asked == []
    assert machine.picture() == before


def test_only_the_switching_that_is_meant_is_restored(tmp_path: Path) -> None:
    """A keeper that is late does not undo what somebody applied after it."""
    machine = plain(tmp_path)
    token = applied_on(machine).journal.token
    assert transaction_on(machine).restore("another") == Restored(was_switched=False)
    assert machine.is_ours
    assert transaction_on(machine).restore(token) == Restored(was_switched=True)
    assert transaction_on(machine).restore(token) == Restored(was_switched=False)


def test_without_a_journal_what_is_ours_goes(machine: Machine) -> None:
    """Drop-ins are taken away; a resolv.conf of ours leads to the servers that were there before."""
    applied_on(machine)
    Store(machine.root).path.write_bytes(b"{")
    assert transaction_on(machine).restore() == Restored(was_switched=True)
    assert not machine.is_ours
    assert transaction_on(machine).restore() == Restored(was_switched=False)


def test_a_salvaged_resolv_conf_says_what_was_said_before(tmp_path: Path) -> None:
    """But for its comments."""
    machine = plain(tmp_path)
    applied_on(machine)
    Store(machine.root).remove()
    transaction_on(machine).restore()
    wanted = BY_HAND.removeprefix(b"# by hand\n")
    assert (machine.root / RESOLV_CONF).read_bytes() == wanted


def test_ours_is_never_taken_for_what_was_before(machine: Machine) -> None:
    """Somebody lost the journal, and applies again: `restore` leads to the servers of before."""
    servers = applied_on(machine).journal.servers
    Store(machine.root).remove()
    assert applied_on(machine).journal.servers == servers
    transaction_on(machine).restore()
    assert not machine.is_ours


def test_a_broken_journal_does_not_keep_from_applying(tmp_path: Path) -> None:
    """It is written anew."""
    machine = with_resolved(tmp_path)
    store = Store(machine.root)
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(b"\0")
    assert applied_on(machine, 5399).journal.servers == ("192.0.2.8",)


def test_a_folder_that_others_can_write_to_is_no_place_for_a_journal(tmp_path: Path) -> None:
    """They could have root put what they like into resolv.conf."""
    machine = plain(tmp_path)
    folder = Store(machine.root).path.parent
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(PermissionError):
        applied_on(machine)


def test_a_link_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    """What it leads to is another program's."""
    machine = plain_link(tmp_path)
    applied_on(machine)
    assert (machine.root / "run/resolvconf/resolv.conf").read_bytes() == BY_HAND
    assert not (machine.root / RESOLV_CONF).is_symlink()


def test_a_link_that_claims_names_is_told(tmp_path: Path) -> None:
    """Such as a VPN's, or that of a network with a domain: what it gets does not pass the resolver."""
    machine = with_resolved(tmp_path)
    machine.domains = "Global:\nLink 2 (eth0): lan.test\nLink 3 (tun0): ~.\n"
    assert [warning.partition(" too: ")[0] for warning in applied_on(machine, 5399).warnings] == [
        "eth0 claims names below lan.test",
        "tun0 claims all names",
    ]


def test_a_method_of_another_system_cannot_be_restored_here(tmp_path: Path) -> None:
    """A folder that two systems share is told, and left alone."""
    machine = plain(tmp_path)
    applied_on(machine)
    other = Transaction(machine.system, backends.of(machine.system, "darwin"))
    assert other.fault(Store(machine.root).read() or pytest.fail("no journal"))
    with pytest.raises(OSError, match="not of this system"):
        other.restore()
