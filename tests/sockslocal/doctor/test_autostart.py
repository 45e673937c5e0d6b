from collections.abc import Callable
from pathlib import Path

import pytest

from sockslocal.doctor.autostart import section
from sockslocal.doctor.scene import Scene


def test_what_is_started_at_login(
    scene: Callable[..., Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon by systemd, the tray by the desktop; that neither is, is no fault."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert [check.verdict for check in section(scene()).checks] == ["unknown", "unknown"]
    wanted = tmp_path / "systemd/user/default.target.wants"
    wanted.mkdir(parents=True)
    (wanted / "sockslocal.service").symlink_to("/nowhere")
    assert [(check.id, check.verdict) for check in section(scene()).checks] == [
        ("autostart.daemon", "good"),
        ("autostart.tray", "unknown"),
    ]
