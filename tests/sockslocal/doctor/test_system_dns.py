from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.control import status
from fakes.system_dns import Machine, plain
from sockslocal.doctor.scene import Scene
from sockslocal.doctor.system_dns import section
from sockslocal.system_dns import backends
from sockslocal.system_dns.journal import RESOLV_CONF
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction

Make = Callable[..., Scene]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One whose resolv.conf is a plain file."""
    return plain(tmp_path)


def switch(machine: Machine) -> None:
    """Have it ask port 53."""
    transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
    transaction.apply(53, fail_open=True, last_resort=True)


def told(scene: Scene, machine: Machine) -> tuple[str, str, str]:
    """Verdict, text and remedy of the one check."""
    (check,) = section(scene, machine.system).checks
    return check.verdict, check.text, check.remedy


def test_a_system_that_was_left_alone(scene: Make, machine: Machine) -> None:
    """By what it looks names up is told."""
    assert told(scene(), machine) == ("good", "as it was; looked up by resolv.conf", "")


def test_a_system_without_any_means_that_is_known(
    scene: Make, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or one that cannot be asked."""

    class Broken:
        def is_there(self) -> bool:
            raise OSError

    monkeypatch.setattr(backends, "of", lambda _system: [Broken()])
    assert told(scene(), machine)[1] == "as it was; looked up by the system's own means"


def test_a_system_that_asks_the_resolver(scene: Make, machine: Machine) -> None:
    """That is fine while a daemon answers; without one no name is found."""
    switch(machine)
    verdict, text, _ = told(scene(status=status()), machine)
    assert verdict == "good"
    assert text.startswith("the system asks 127.0.0.1:53, by resolv.conf; nobody restores it")
    verdict, text, remedy = told(scene(), machine)
    assert (verdict, remedy) == ("bad", "sockslocal dns restore")
    assert "no daemon answers there" in text


def test_what_others_have_changed_or_was_left_behind(scene: Make, machine: Machine) -> None:
    """`restore` helps with both."""
    switch(machine)
    ours = (machine.root / RESOLV_CONF).read_bytes()
    (machine.root / RESOLV_CONF).unlink()
    assert told(scene(status=status()), machine) == (
        "bad",
        "/etc/resolv.conf was changed by somebody else",
        "sockslocal dns restore",
    )
    Store(machine.root).remove()
    machine.write(RESOLV_CONF, ours)
    assert told(scene(), machine)[0] == "bad"
