"""What the tests of leaks rest on."""

import subprocess
import sys
from pathlib import Path

from fakes.waiting import wait_until
from integration.traced import Trace

LEAK = """
import socket, subprocess, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.sendto(b"to one", ("127.0.0.9", 53))
udp.sendmsg([b"to another"], [], 0, ("127.0.0.8", 853))
udp.connect(("127.0.0.7", 443))
try:
    socket.socket(socket.AF_INET6).connect(("::1", 53))
except OSError:
    pass
try:
    socket.socket(socket.AF_UNIX).connect("/nowhere/resolver")
except OSError:
    pass
if sys.argv[1:]:
    subprocess.run([sys.executable, "-c", sys.argv[1]])
"""


def test_a_trace_has_it_all(tmp_path: Path) -> None:
    """Of children too: a leak would be seen."""
    trace = Trace(tmp_path)
    child = LEAK.replace("127.0.0", "127.0.1")
    subprocess.run([*trace.prefix, sys.executable, "-c", LEAK, child], check=True, timeout=60)
    expected = {("127.0.0.7", 443), ("127.0.1.7", 443), ("::1", 53)}
    wait_until(lambda: trace.connected >= expected, seconds=10, what="strace has written it")
    assert trace.connected == expected
    assert trace.sent == {
        (f"127.0.{net}.{host}", port) for net in (0, 1) for host, port in ((9, 53), (8, 853))
    }
    assert trace.unix == {"/nowhere/resolver"}
