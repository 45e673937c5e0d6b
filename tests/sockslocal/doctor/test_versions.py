import importlib.metadata
import platform
from collections.abc import Callable

import pytest

from sockslocal import __version__
from sockslocal.doctor.scene import Scene
from sockslocal.doctor.versions import section

Make = Callable[..., Scene]


def test_all_that_runs_here(scene: Make) -> None:
    """For who reads a report."""
    found = section(scene())
    assert found.verdict == "good"
    texts = " ".join(check.text for check in found.checks)
    for part in (__version__, f"Python {platform.python_version()}", "dnspython 2."):
        assert part in texts


def test_what_is_missing(scene: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only some systems have is not missed on others."""

    def version(name: str) -> str:
        if name in ("jeepney", "psutil"):
            raise importlib.metadata.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    check = section(scene()).checks[-1]
    assert (check.verdict, check.text) == ("note", "psutil cannot be found")
