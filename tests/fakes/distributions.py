"""What sockslocal is distributed as, built from a copy of the checkout."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from fakes import wheels

ROOT = Path(__file__).parents[2]
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "requirements.lock")
FOLDERS = ("sockslocal", "tray", "installer", "tests")


class Distributions(NamedTuple):
    """The source distribution, the wheel made from it, and a folder with wheels of all that it needs."""

    sdist: Path
    wheel: Path
    needed: Path


def copy_of_checkout(folder: Path) -> Path:
    """What is distributed, in `folder`: building leaves files behind."""
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return folder


def build(checkout: Path, folder: Path) -> Distributions:
    """All of them in `folder`, without the network."""
    _python("-c", f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})", cwd=checkout)
    (sdist,) = folder.glob("*.tar.gz")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    _python("-m", "pip", "wheel", *options, str(sdist), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    needed = wheels.needed_by([*project["dependencies"], "setuptools"])
    return Distributions(sdist, wheel, wheels.repack(needed, folder / "needed"))


def _python(*arguments: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
