import dataclasses
from pathlib import Path

from fakes.system_dns import BY_HAND, Machine, plain
from sockslocal.system_dns import backends, state
from sockslocal.system_dns.journal import RESOLV_CONF, Journal
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction


def switched(machine: Machine, *, fail_open: bool = True) -> Journal:
    """The machine asks port 53."""
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    return transaction.apply(53, fail_open=fail_open, last_resort=True).journal


def text_of(machine: Machine) -> str:
    """What a person is told."""
    return state.text(state.look(machine.system))


def test_a_system_that_was_never_switched_is_not_spoken_of(tmp_path: Path) -> None:
    """Nothing to tell."""
    assert text_of(plain(tmp_path)) == ""


def test_a_switched_system_says_how_it_ends(tmp_path: Path) -> None:
    """By a keeper, by nobody, or not at all."""
    machine = plain(tmp_path)
    switched(machine)
    told = "asks 127.0.0.1:53, by resolv.conf"
    assert text_of(machine) == f"{told}; nobody restores it when sockslocal ends, as its keeper is gone"
    kept = state.look(machine.system)._replace(kept=True)
    assert state.text(kept) == told
    switched(machine, fail_open=False)
    assert text_of(machine) == f"{told}; without sockslocal no name is looked up"


def test_what_is_not_as_the_journal_says_is_told_with_its_remedy(tmp_path: Path) -> None:
    """Somebody's change, an interrupted switching, a journal that is none."""
    machine = plain(tmp_path)
    journal = switched(machine)
    (machine.root / RESOLV_CONF).unlink()
    assert text_of(machine).startswith(
        "/etc/resolv.conf was changed by somebody else; to have it as before: "
    )
    store = Store(machine.root)
    store.write(dataclasses.replace(journal, step="restoring"))
    assert text_of(machine).startswith("it was interrupted")
    store.path.write_bytes(b"{}")
    assert text_of(machine).startswith(f"not known: {store.path} cannot be read")


def test_whether_there_is_anything_to_restore(tmp_path: Path) -> None:
    """A journal, or, without one, a file of ours."""
    machine = plain(tmp_path)
    assert state.is_untouched(machine.system)
    switched(machine)
    assert not state.is_untouched(machine.system)
    Store(machine.root).remove()
    assert not state.is_untouched(machine.system)
    (machine.root / RESOLV_CONF).unlink()
    machine.write(RESOLV_CONF, BY_HAND)
    assert state.is_untouched(machine.system)


def test_by_what_a_port_is_asked(tmp_path: Path) -> None:
    """Only the port that the journal names; nothing where there is none that can be read."""
    machine = plain(tmp_path)
    assert state.method_at({53}, machine.system) == ""
    switched(machine)
    assert state.method_at({5399, 53}, machine.system) == "resolv.conf"
    assert state.method_at({5399}, machine.system) == ""
    Store(machine.root).path.write_bytes(b"")
    assert state.method_at({53}, machine.system) == ""
