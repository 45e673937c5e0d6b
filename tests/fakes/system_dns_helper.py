"""The privileged helper for a machine below a folder.

    python -m fakes.system_dns_helper FOLDER ARGUMENT…

Its processes are real; it is the machine of `with_resolved`.
"""

import sys
from pathlib import Path

from fakes.system_dns import Machine, with_resolved
from sockslocal.system_dns.helper import main


def machine_below(root: Path) -> Machine:
    """The machine, which is made if it is not there."""
    if not (root / "etc").exists():
        return with_resolved(root)
    machine = Machine(root)
    machine.active = {"systemd-resolved"}
    return machine


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], machine_below(Path(sys.argv[1])).system))
