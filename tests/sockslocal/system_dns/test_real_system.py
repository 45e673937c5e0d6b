"""The helper as it is, as root of namespaces of its own; the names are looked up by the real C library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.system_dns import BY_HAND

TESTS = Path(__file__).parents[2]
NO_NAMESPACES = 77
SCRIPT = f"""\
cd "$1" || exit {NO_NAMESPACES}
ip link set lo up && mount --bind etc /etc && mount --bind run /run && mount --bind lib /var/lib \\
    || exit {NO_NAMESPACES}
[ "$2" != mount ] || mount --bind mounted /etc/resolv.conf || exit {NO_NAMESPACES}
[ "$2" != redirect ] || nft list ruleset || exit {NO_NAMESPACES}
exec "$0" -m fakes.system_dns_world "$2"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
@pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("ip"), reason="needs unshare and ip")
@pytest.mark.parametrize("case", ["folder", "mount", "redirect"])
def test_programs_ask_the_resolver_until_it_is_killed(tmp_path: Path, case: str) -> None:
    """And before it, and after it, those of before; also where resolv.conf is a mount, as in containers.

    With `redirect` it is at port 5399, and the kernel's nftables lead there, of which all others stay.
    """
    for folder in ("etc", "run", "lib"):
        (tmp_path / folder).mkdir()
    for name in ("etc/resolv.conf", "mounted"):
        (tmp_path / name).write_bytes(BY_HAND)
        (tmp_path / name).chmod(0o640)
    (tmp_path / "etc/of-a-test").touch()
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    done = subprocess.run(
        ["unshare", "-rmn", "sh", "-c", SCRIPT, sys.executable, str(tmp_path), case],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))},
    )
    if done.returncode == NO_NAMESPACES or "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.returncode == 0, done.stderr
