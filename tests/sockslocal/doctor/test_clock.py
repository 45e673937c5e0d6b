from collections.abc import Callable
from pathlib import Path

import pytest

import sockslocal
from sockslocal.doctor.clock import section
from sockslocal.doctor.scene import Scene

Make = Callable[..., Scene]
INSTALLED = Path(sockslocal.__file__).stat().st_mtime
DAY = 86_400.0


def test_a_clock_that_can_be_right(scene: Make) -> None:
    """As far as can be told from here."""
    assert [(check.id, check.verdict) for check in section(scene()).checks] == [
        ("clock.date", "good"),
        ("clock.disk", "good"),
    ]


@pytest.mark.parametrize("days", [-2, 21 * 366])
def test_a_clock_that_cannot(scene: Make, days: int) -> None:
    """Before this was installed, or when nobody has it any more; the disk's differs then too."""
    date, disk = section(scene(), lambda: INSTALLED + days * DAY).checks
    assert (date.verdict, disk.verdict) == ("bad", "note")
    assert "installed on" in date.text
    assert ("ahead" in disk.text) == (days < 0)
