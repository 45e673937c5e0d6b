"""What pyproject.toml, the lock and the installed package promise each other."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import sockslocal

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def installed_files() -> set[str]:
    """The Python files of the installed distribution."""
    files = importlib.metadata.files("sockslocal") or []
    return {str(file) for file in files if file.suffix == ".py"}


needs_wheel = pytest.mark.skipif(
    Path(sockslocal.__file__).parent == ROOT / "sockslocal", reason="what is imported is the checkout itself"
)


@needs_wheel
def test_the_wheel_has_every_module() -> None:
    """What is in the checkout is installed, the tray under a name that clashes with nobody's, and no more."""
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "sockslocal").rglob("*.py")}
    tray = {
        str("sockslocal_tray" / file.relative_to(ROOT / "tray")) for file in (ROOT / "tray").rglob("*.py")
    }
    assert installed_files() == sources | tray


@needs_wheel
def test_the_tray_is_importable_by_its_name() -> None:
    """`tray` itself would clash with other packages."""
    script = "import sockslocal_tray; print(sockslocal_tray.__name__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "sockslocal_tray\n"


def test_every_pure_module_is_under_the_contract() -> None:
    """Who has to be covered whole may not import sockets, loops and clocks, and the other way round."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one["name"].startswith("Pure modules")]
    pure = [
        pattern.removesuffix("/*.py").removesuffix(".py") for pattern in PROJECT["tool"]["sockslocal"]["pure"]
    ]
    names = [re.sub(r"^tray\b", "sockslocal_tray", name.replace("/", ".")) for name in pure]
    assert sorted(contract["source_modules"]) == sorted(names)


def wanted_packages() -> list[str]:
    """The names of all packages that pyproject.toml asks for."""
    requirements = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    return [re.split(r"[^A-Za-z0-9_-]", requirement, maxsplit=1)[0] for requirement in requirements]


@pytest.mark.parametrize("name", wanted_packages())
def test_the_lock_has_every_package(name: str) -> None:
    """Whoever adds a dependency renews the lock: sh tests/lock.sh."""
    assert re.search(rf"^{re.escape(name)}==\S+", LOCK, re.MULTILINE)


def test_every_locked_package_has_hashes() -> None:
    """Nothing is installed that was not there when the lock was made."""
    packages = re.split(r"^(?=[a-z])", LOCK, flags=re.MULTILINE)[1:]
    assert len(packages) > 20
    assert [package.split("==")[0] for package in packages if "--hash=sha256:" not in package] == []


def test_the_lock_names_no_index() -> None:
    """Mirrors work as well as the public index."""
    assert "://" not in LOCK


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "tests").glob("*.sh")))
def test_scripts_are_plain_shell(script: str) -> None:
    """They are read by the shell that a fresh machine has."""
    done = subprocess.run(["sh", "-n", str(ROOT / "tests" / script)], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
