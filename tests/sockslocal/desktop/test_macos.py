import plistlib
from pathlib import Path

from sockslocal.desktop.macos import parts


def test_agents_of_launchd(tmp_path: Path) -> None:
    """Each part is a property list that launchd understands, and is gone once it is off."""
    folder = tmp_path / "LaunchAgents"
    both = parts(["/opt/sockslocal/bin/sockslocal", "--config", "/x y/ä&.toml"], folder)
    assert not any(part.enabled() for part in both.values())
    for part in both.values():
        part.enable()
        assert part.enabled()
    assert plistlib.loads((folder / "org.sockslocal.daemon.plist").read_bytes()) == {
        "Label": "org.sockslocal.daemon",
        "ProgramArguments": [
            *("/opt/sockslocal/bin/sockslocal", "--config", "/x y/ä&.toml"),
            *("run", "--log-to-file"),
        ],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ProcessType": "Interactive",
    }
    tray = plistlib.loads((folder / "org.sockslocal.tray.plist").read_bytes())
    assert tray["ProgramArguments"][-3:] == ["tray", "--wait", "1m"]
    assert both["tray"].place == str(folder / "org.sockslocal.tray.plist")
    for part in both.values():
        part.disable()
        part.disable()
    assert [*folder.iterdir()] == []
