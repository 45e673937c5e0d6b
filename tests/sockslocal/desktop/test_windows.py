import errno

import pytest

from sockslocal.desktop.windows import APPROVED, RUN, parts
from sockslocal.errors import SockslocalError


class FakeValues:
    """A registry; `broken` has it refuse all."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], object] = {}
        self.broken = False

    def get(self, key: str, name: str) -> object:
        self._check()
        return self.values.get((key, name))

    def set(self, key: str, name: str, text: str) -> None:
        self._check()
        self.values[key, name] = text

    def delete(self, key: str, name: str) -> None:
        self._check()
        self.values.pop((key, name), None)

    def _check(self) -> None:
        if self.broken:
            raise OSError(errno.EACCES, "Access is denied")


def test_values_of_the_run_key() -> None:
    """A command line for each part, quoted as Windows splits it."""
    registry = FakeValues()
    both = parts([r"C:\Program Files\sockslocal\sockslocal.exe"], registry)
    for part in both.values():
        assert not part.enabled()
        part.enable()
        assert part.enabled()
    program = r'"C:\Program Files\sockslocal\sockslocal.exe"'
    assert registry.values == {
        (RUN, "sockslocal"): f"{program} start",
        (RUN, "sockslocal tray"): f"{program} tray --wait 1m",
    }
    both["tray"].disable()
    assert [*registry.values] == [(RUN, "sockslocal")]
    assert both["daemon"].place.endswith(r"CurrentVersion\Run, sockslocal")


@pytest.mark.parametrize(("verdict", "enabled"), [(b"\x02", True), (b"\x03\x00", False), (b"", True)])
def test_what_the_task_manager_switched_off(verdict: bytes, *, enabled: bool) -> None:
    """Is off, until it is switched on here."""
    registry = FakeValues()
    daemon = parts(["sockslocal"], registry)["daemon"]
    daemon.enable()
    registry.values[APPROVED, "sockslocal"] = verdict
    assert daemon.enabled() == enabled
    daemon.enable()
    assert daemon.enabled()


def test_a_registry_that_refuses() -> None:
    """It is an error of ours, and nothing is known to start."""
    registry = FakeValues()
    daemon = parts(["sockslocal"], registry)["daemon"]
    registry.broken = True
    assert not daemon.enabled()
    for change in (daemon.enable, daemon.disable):
        with pytest.raises(SockslocalError) as caught:
            change()
        assert caught.value.problem.text.endswith("it cannot be changed: Access is denied")
