"""The command `sockslocal`: the one place that knows both the faces and the daemon."""

import sys
from collections.abc import Mapping

from sockslocal.interrupts import INTERRUPTED, ending_at_once
from sockslocal.paths import Paths
from sockslocal.secret import Secret


def _run(paths: Paths, *, log_to_stderr: bool, level: str, secrets: Mapping[str, Secret]) -> int:
    with ending_at_once():
        from sockslocal import daemon

    return daemon.run(paths, log_to_stderr=log_to_stderr, level=level, secrets=secrets)


def _demo(*, once: bool) -> int:
    with ending_at_once():
        from sockslocal.demo.run import main

    return main(once=once)


def main() -> int:
    """What the shell gets for the arguments of this process."""
    try:
        with ending_at_once():
            from sockslocal.cli.main import main

        return main(sys.argv[1:], run=_run, demo=_demo)
    except KeyboardInterrupt:  # while there is nobody else to catch it
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
