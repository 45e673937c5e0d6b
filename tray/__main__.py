"""`python -m sockslocal_tray`: the tray as a process, which `sockslocal tray` becomes."""

import argparse
import logging
import sys

from sockslocal import log, paths
from sockslocal_tray import app, backends, panel

_INSTEAD = "Nothing else is missing: sockslocal status, sockslocal on, sockslocal off"


def main() -> int:
    """The exit code: 0 also where nobody shows icons, for that is nobody's mistake."""
    arguments = _arguments()
    places = paths.find(arguments.config)
    log.set_up(places.state / "tray.log")
    with app.only_one(places) as alone:
        if not alone:
            _say("sockslocal's tray runs already")
            return 0
        try:
            backend = backends.find(arguments.wait)
        except backends.NoTrayError as reason:
            _say(f"no icon can be shown: {reason}.\n{_INSTEAD}")
            return 0
        logging.getLogger(__name__).info("* the icon is shown by %s", backend.name)
        dark = panel.is_dark() if arguments.panel == "auto" else arguments.panel == "dark"
        return _run(app.App(places, backend, dark=dark))


def _run(tray: app.App) -> int:
    try:
        tray.run()
    except KeyboardInterrupt:
        pass
    except ConnectionError as error:
        logging.getLogger(__name__).info("* the desktop has ended: %s", error)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sockslocal tray", allow_abbrev=False)
    parser.add_argument("--config", metavar="PATH")
    parser.add_argument("--wait", metavar="SECONDS", type=float, default=0.0)
    parser.add_argument("--panel", choices=("auto", "dark", "light"), default="auto")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
