import os
import signal
from pathlib import Path

import pytest

from fakes.system_dns import Machine, with_resolved
from fakes.waiting import wait_until
from sockslocal.system_dns import backends, keeping
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.journal import Journal
from sockslocal.system_dns.keeper import is_kept
from sockslocal.system_dns.keeping import Report, switch_and_keep, told
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def transaction_on(machine: Machine) -> Transaction:
    """As the helper makes one."""
    return Transaction(machine.system, backends.of(machine.system, "linux"))


def never() -> bool:
    """Nobody is the right one to answer: the keeper restores as soon as it has lost its patience."""
    return False


def test_a_switching_that_is_killed_is_undone_by_who_waits(tmp_path: Path) -> None:
    """It had applied all, and told nobody."""
    machine = with_resolved(tmp_path)
    before = machine.picture()
    transaction = transaction_on(machine)

    def switch() -> tuple[Journal, Report]:
        transaction.apply(5399, fail_open=True)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(RefusedError, match="was ended"):
        switch_and_keep(transaction, switch, never)
    assert machine.picture() == before
    assert Store(tmp_path).read() is None


def test_a_switching_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And undone."""
    machine = with_resolved(tmp_path)
    before = machine.picture()
    transaction = transaction_on(machine)
    monkeypatch.setattr(keeping, "REPORT_S", 0.5)

    def switch() -> tuple[Journal, Report]:
        transaction.apply(5399, fail_open=True)
        signal.pause()
        raise AssertionError

    with pytest.raises(RefusedError, match="was ended"):
        switch_and_keep(transaction, switch, never)
    assert machine.picture() == before


@pytest.mark.parametrize("error", [RefusedError("no"), OSError(28, "No space left on device", "/etc/x")])
def test_what_keeps_from_switching_is_told(tmp_path: Path, error: RefusedError | OSError) -> None:
    """By the other process, whole."""

    def switch() -> tuple[Journal, Report]:
        raise error

    assert switch_and_keep(transaction_on(with_resolved(tmp_path)), switch, never) == told(error)


def test_who_switched_stays_and_restores(tmp_path: Path) -> None:
    """Nobody answers, so it does at once what it is there for."""
    machine = with_resolved(tmp_path)
    before = machine.picture()
    transaction = transaction_on(machine)

    def switch() -> tuple[Journal, Report]:
        return transaction.apply(5399, fail_open=True).journal, {"applied": "it"}

    assert switch_and_keep(transaction, switch, never) == {"applied": "it"}
    path = Store(tmp_path).path
    wait_until(lambda: not path.exists() and not is_kept(path), seconds=30, what="it was restored")
    assert machine.picture() == before


def test_errors_in_words() -> None:
    """The reason, and the file where there is one."""
    assert told(OSError(28, "No space left on device", "/etc/x")) == {
        "error": "No space left on device: /etc/x"
    }
    assert told(TimeoutError())["error"].startswith("another one")
