import json
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.control import short_paths

COMMANDS = {
    "module": [sys.executable, "-m", "sockslocal"],
    "script": [str(Path(sys.executable).with_name("sockslocal"))],
}


@pytest.mark.parametrize("way", COMMANDS)
def test_a_whole_life(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started, asked, stopped, as a user does it: by the installed command and by the module."""
    command = COMMANDS[way]

    def sockslocal(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)

    with short_paths() as paths:
        monkeypatch.setenv("SOCKSLOCAL_CONFIG", str(paths.config))
        monkeypatch.setenv("SOCKSLOCAL_RUNTIME_DIR", str(paths.runtime))
        monkeypatch.setenv("SOCKSLOCAL_STATE_DIR", str(paths.state))
        paths.config.write_text("")
        try:
            assert sockslocal("start").returncode == 0
            status = json.loads(sockslocal("status", "--json").stdout)
            assert status["tunnel"] == {"on": True}
            again = sockslocal("run")
            assert again.returncode == 1
            assert f"already as process {status['daemon']['pid']}" in again.stderr
        finally:
            stopped = sockslocal("stop")
        assert stopped.returncode == 0
        assert sockslocal("status").returncode == 3
