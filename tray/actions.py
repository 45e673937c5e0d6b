"""What can be chosen from the tray: values, which `perform` turns into deeds."""

from typing import Literal, NamedTuple

Verb = Literal[
    "tunnel",  # on | off
    "forward.on",  # its name
    "forward.off",
    "dns",  # on | off
    "dns.flush",
    "system-dns",  # on | off
    "server",  # the name of the one to use
    "password",  # of this server
    "unlock",  # what has the password of this server
    "copy",  # this text
    "remedy",  # this command or sentence of a problem
    "config",
    "logs",
    "doctor",
    "setup",
    "status",
    "at-login",  # on | off
    "start",
    "quit",
    "stop-and-quit",
]


class Action(NamedTuple):
    """One deed; what `argument` is stands beside its verb."""

    verb: Verb
    argument: str = ""
