"""`autostart`: whether sockslocal, and its tray, start at login."""

import sys
from argparse import Namespace
from pathlib import Path

from sockslocal.cli.context import Context
from sockslocal.cli.propose import same
from sockslocal.cli.render import table
from sockslocal.cli.terminal import print_json, say, write
from sockslocal.desktop.autostart import Autostart, Part, found, of_platform
from sockslocal.paths import find
from sockslocal.problems import ExitCode


def switch(arguments: Namespace, context: Context) -> int:
    """Have both start at login, or neither, or tell how it is."""
    parts = parts_for(context.paths.config)
    if arguments.switch == "status":
        _show(parts, as_json=arguments.json)
        return ExitCode.DONE
    for part in parts.values():
        if arguments.switch == "on":
            part.enable()
        else:
            part.disable()
    does = "start" if arguments.switch == "on" else "do not start"
    say(f"sockslocal and its tray {does} at login")
    return ExitCode.DONE


def parts_for(config: Path) -> dict[Part, Autostart]:
    """The daemon and the tray, which are told to use the file `config` where they would use another one."""
    return of_platform(found(None if same(config, find().config) else config))


def _show(parts: dict[Part, Autostart], *, as_json: bool) -> None:
    states = {name: part.enabled() for name, part in parts.items()}
    if as_json:
        print_json({name: {"enabled": states[name], "place": part.place} for name, part in parts.items()})
        return
    rows = [(name, "on" if states[name] else "off", part.place) for name, part in parts.items()]
    write(sys.stdout, table(("PART", "AT LOGIN", "BY"), rows))
