import os
import sys
from pathlib import Path

import pytest

from sockslocal.children import command_of, start


def test_a_module_is_run_by_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not one of the current folder that has the name of something it imports."""
    (tmp_path / "json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    with start(command_of("json.tool")) as child:
        output, _ = child.communicate(b"[1]", timeout=10)
    assert (output.split(), child.returncode) == ([b"[", b"1", b"]"], 0)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no groups of processes")
@pytest.mark.parametrize("own_group", [False, True])
def test_a_child_may_have_a_group_of_its_own(*, own_group: bool) -> None:
    """To be killed with what it starts."""
    if sys.platform == "win32":
        return
    with start([sys.executable, "-c", "input()"], own_group=own_group) as child:
        assert (os.getpgid(child.pid) == child.pid) == own_group
        child.communicate(b"\n", timeout=10)
