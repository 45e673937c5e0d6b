"""How it is with the system's DNS, for everybody to read."""

from collections.abc import Collection
from typing import NamedTuple

from sockslocal.system_dns import backends, keeper
from sockslocal.system_dns.journal import PATHS, Journal, JournalError
from sockslocal.system_dns.resolv_conf import MARKER
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.system import System
from sockslocal.system_dns.transaction import Transaction


class State(NamedTuple):
    """The switching that there is; `fault` says why the system does not ask the resolver all the same."""

    journal: Journal | None = None
    kept: bool = False
    fault: str = ""


def look(system: System) -> State:
    """What the journal says, and whether it is so."""
    store = Store(system.root)
    try:
        journal = store.read()
    except (OSError, JournalError) as error:
        return State(fault=f"{store.path} cannot be read: {error}")
    if journal is None:
        return State()
    if journal.step != "applied":
        return State(journal, fault="it was interrupted while it was changed")
    fault = Transaction(system, backends.of(system)).fault(journal)
    return State(journal, keeper.is_kept(store.path), fault)


def is_untouched(system: System) -> bool:
    """Whether there is nothing to restore, as far as anybody can see."""
    if look(system) != State():
        return False
    return not any(system.read(path).startswith(MARKER) for path in PATHS)


def method_at(ports: Collection[int], system: System) -> str:
    """By what the system asks one of `ports`, by the journal's word; empty where it does not."""
    try:
        journal = Store(system.root).read()
    except (OSError, JournalError):
        return ""
    return journal.method if journal is not None and journal.port in ports else ""


def text(state: State) -> str:
    """The state as a person reads it, in one line; empty where the system was never switched."""
    journal = state.journal
    if journal is None:
        return f"not known: {state.fault}" if state.fault else ""
    if state.fault:
        return f"{state.fault}; to have it as before: sockslocal dns restore"
    return f"asks 127.0.0.1:{journal.port}, by {journal.method}{_end(state, journal)}"


def _end(state: State, journal: Journal) -> str:
    """What becomes of it when the daemon ends."""
    if not journal.fail_open:
        return "; without sockslocal no name is looked up"
    return "" if state.kept else "; nobody restores it when sockslocal ends, as its keeper is gone"
