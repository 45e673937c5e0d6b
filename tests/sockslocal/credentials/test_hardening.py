import subprocess
import sys

import pytest

CODE = """
import ctypes, resource
from sockslocal.credentials.hardening import harden
harden()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""
"""3 is PR_GET_DUMPABLE."""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_no_core_and_no_debugger() -> None:
    """The kernel itself confirms it; the core limit cannot be raised again."""
    process = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["0", "0", "0"]
