"""A child process whose files may not grow: the nearest to a full disk that needs no privilege."""

import os
import resource
import subprocess
import sys
from pathlib import Path


def run_with_small_files(code: str, path: Path, *, octets: int) -> str:
    """What `code` prints, with `path` as its argument, where no file gets larger than `octets`.

    The coverage of such a child is not measured: that would need a file too.
    """
    limit = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({octets}, {resource.RLIM_INFINITY}))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    child = subprocess.run(
        [sys.executable, "-c", f"{limit}{code}", path],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return child.stdout + child.stderr
