"""Fails unless every branch of each pure module is taken by the module's own test file.

Which modules are pure stands in pyproject.toml, [tool.sockslocal] pure. Coverage that a module gets from the
tests of others does not count: what it promises is to be tested where a reader looks for it.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pure_modules() -> list[Path]:
    """The files named in pyproject.toml, without packages' empty `__init__.py`; each must be one."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["sockslocal"]["pure"]
    found: list[Path] = []
    for pattern in patterns:
        files = sorted(ROOT.glob(pattern))
        if not files:
            sys.exit(f"pyproject.toml calls {pattern} pure, but there is no such file")
        found += files
    return [file for file in found if file.name != "__init__.py"]


def own_test(module: Path) -> Path:
    """`sockslocal/socks5/messages.py` is tested by `tests/sockslocal/socks5/test_messages.py`."""
    inner = module.relative_to(ROOT)
    return ROOT / "tests" / inner.parent / f"test_{inner.name}"


def uncovered(module: Path) -> str:
    """What is wrong with the tests of `module`; empty where nothing is."""
    test = own_test(module)
    if not test.exists():
        return f"{test.relative_to(ROOT)} is missing"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"COVERAGE_FILE": f"{folder}/data"}
        coverage = [sys.executable, "-m", "coverage"]
        pytest = ["-m", "pytest", "-q", "-o", "pythonpath=tests", "-p", "no:cacheprovider", str(test)]
        only = f"--include=*/{module.relative_to(ROOT)}"
        steps = (
            [*coverage, "run", *pytest],
            [*coverage, "report", only, "--show-missing", "--fail-under=100", "--precision=2"],
        )
        for step in steps:
            done = subprocess.run(
                step, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return done.stdout + done.stderr
    return ""


def main() -> int:
    """Check all modules, two at a time; exit 1 when one falls short."""
    modules = pure_modules()
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(uncovered, modules))
    for module, wrong in zip(modules, results, strict=True):
        print(f"{'no ' if wrong else 'ok '} {module.relative_to(ROOT)}")
        if wrong:
            print(wrong)
    return any(results)


if __name__ == "__main__":
    sys.exit(main())
