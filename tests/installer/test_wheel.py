"""The wheel and the source distribution, and what pipx makes of them."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import sockslocal
from fakes.distributions import FILES, FOLDERS, Distributions


def files_of(folder: Path) -> set[str]:
    """All below it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_sdist_has_what_is_needed_to_build_test_and_package(
    distributions: Distributions, checkout: Path
) -> None:
    """The whole checkout, and nothing else but what the build tool adds."""
    with tarfile.open(distributions.sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    wanted = set(FILES) | {f"{name}/{path}" for name in FOLDERS for path in files_of(checkout / name)}
    added = {path for path in held if path in ("PKG-INFO", "setup.cfg") or ".egg-info/" in path}
    assert held - added == wanted


def test_the_wheel_has_the_packages_and_the_licence_only(
    distributions: Distributions, checkout: Path
) -> None:
    """No tests, and nothing of the installers."""
    with zipfile.ZipFile(distributions.wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        information = {Path(name).name for name in archive.namelist() if ".dist-info/" in name}
    packages = {f"sockslocal/{path}" for path in files_of(checkout / "sockslocal")}
    packages |= {f"sockslocal_tray/{path}" for path in files_of(checkout / "tray")}
    assert held == packages
    assert {"LICENSE", "METADATA", "entry_points.txt"} <= information


@pytest.mark.skipif(not shutil.which("pipx"), reason="not installed: pipx")
def test_pipx_installs_the_command_and_removes_it(distributions: Distributions, tmp_path: Path) -> None:
    """In an environment of its own, where the tray is too; afterwards nothing is left."""
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin")}
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(distributions.needed)}
    environment = {**os.environ, **places, **offline, "PIPX_DEFAULT_PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)

    def told(*command: str) -> str:
        done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    told("pipx", "install", str(distributions.wheel))
    command = str(tmp_path / "bin/sockslocal")
    assert told(command, "--version") == f"sockslocal {sockslocal.__version__}\n"
    assert told(command, "tray", "--help").startswith("usage: sockslocal tray")
    told("pipx", "uninstall", "sockslocal")
    assert [*(tmp_path / "bin").iterdir(), *(tmp_path / "pipx/venvs").iterdir()] == []
