"""`kill -9` of a real process before each of its steps, by fakes/killed_at_each_step.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.system_dns import MACHINES

TESTS = Path(__file__).parents[2]
CASES = [(machine, "rename") for machine in MACHINES] + [("plain", "in-place")]


@pytest.mark.parametrize("then", ["restore", "apply"])
@pytest.mark.parametrize("verb", ["apply", "restore"])
@pytest.mark.parametrize(("machine", "way"), CASES)
def test_whatever_step_was_the_last_all_comes_back(
    machine: str, way: str, verb: str, then: str, tmp_path: Path
) -> None:
    """The next `restore` brings back every byte, mode and link, also if another `apply` came between."""
    command = [sys.executable, "-m", "fakes.killed_at_each_step", machine, verb, way, then, str(tmp_path)]
    paths = os.pathsep.join((str(TESTS.parent), str(TESTS)))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 15
