"""The tree of commands: names, arguments, help. Nothing here does anything."""

import argparse
from typing import get_args

from sockslocal import __version__
from sockslocal.cli import tree_of_config as configured
from sockslocal.cli.parser import Branch, Names, Parser, json_option, number, seconds

_FIRST_STEPS = """\
first steps:
  sockslocal demo      see it work, on this machine alone
  sockslocal setup     answer a few questions, and it works
  sockslocal status    what is up, what is wrong and what mends it

and then, say:
  sockslocal forward add tcp db 127.0.0.1:5432 db.internal:5432

`sockslocal COMMAND --help` tells more, with examples.
"""


def build() -> Parser:
    """The whole tree."""
    parser = Parser(
        prog="sockslocal",
        description="Make what stands behind a SOCKS5 server look local: TCP, UDP and DNS.",
        epilog=_FIRST_STEPS,
    )
    parser.add_argument(
        "--config",
        metavar="PATH",
        help="the configuration file (default: $SOCKSLOCAL_CONFIG, else what `config path` prints)",
    )
    parser.add_argument("--version", action="version", version=f"sockslocal {__version__}")
    root = Branch(parser)
    _demo(root)
    _setup(root)
    _daemon(root)
    _status(root)
    _switches(root)
    configured.forward(root)
    configured.server(root)
    configured.login(root)
    _dns(root)
    _config(root)
    _logs(root)
    _tray(root)
    _autostart(root)
    _doctor(root)
    _completion(root)
    return parser


def _grace(parser: Parser) -> None:
    parser.add_argument(
        "--grace",
        metavar="TIME",
        type=seconds,
        default=5.0,
        help="how long open connections may still take to end (default 5s)",
    )


def _level(parser: Parser) -> None:
    parser.add_argument(
        "--level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="how much is logged: debug, info (default), warning or error",
        metavar="LEVEL",
    )


def _demo(root: Branch) -> None:
    parser = root.command(
        "demo",
        "lifecycle:demo",
        "show TCP, UDP and DNS pass through a SOCKS5 server, all on this machine",
        "  sockslocal demo           stays up afterwards, with commands to try\n"
        "  sockslocal demo --once    exit code 0 if all of it worked, 1 if not",
    )
    parser.add_argument("--once", action="store_true", help="do not stay up afterwards")


def _setup(root: Branch) -> None:
    root.command(
        "setup",
        "setup:setup",
        "ask for server, password and a first forward, try them, and save what works",
        "  sockslocal setup    again later: what is there is proposed",
    )


def _daemon(root: Branch) -> None:
    run = root.command(
        "run", "lifecycle:run", "run in the foreground; Ctrl-C stops", "  sockslocal run --level debug"
    )
    _level(run)
    run.add_argument("--log-to-file", action="store_true", help="log to the file that `logs` shows, not here")
    run.add_argument("--secrets-from-stdin", action="store_true", help=argparse.SUPPRESS)
    run.add_argument("--until-stdin-ends", action="store_true", help=argparse.SUPPRESS)
    start = root.command("start", "lifecycle:start", "start in the background")
    _level(start)
    stop = root.command(
        "stop",
        "lifecycle:stop",
        "stop, once open connections have ended or the grace is over",
        "  sockslocal stop --grace 30s",
    )
    _grace(stop)
    restart = root.command("restart", "lifecycle:restart", "stop if it runs, and start")
    _grace(restart)
    _level(restart)


def _status(root: Branch) -> None:
    parser = root.command(
        "status",
        "status:show",
        "what is up, what is wrong, and the command that mends it",
        "  sockslocal status --watch          redrawn as things change\n"
        "  sockslocal status --json | jq .servers\n"
        "  sockslocal status --json --watch   one object a line",
    )
    json_option(parser)
    parser.add_argument("--watch", action="store_true", help="stay, and show each change")


def _switches(root: Branch) -> None:
    for switch, text in (
        ("on", "switch the whole tunnel, or single forwards, on"),
        ("off", "switch the whole tunnel, or single forwards, off; kept across restarts"),
    ):
        parser = root.command(
            switch,
            f"switches:{switch}",
            text,
            f"  sockslocal {switch}            the whole tunnel\n"
            f"  sockslocal {switch} db web     these forwards\n"
            f"  sockslocal {switch} dns        the resolver",
        )
        parser.add_name("names", "switches", metavar="NAME", nargs="*", help="a forward, or dns; none: all")


def _dns(root: Branch) -> None:
    branch = root.branch("dns", "ask the resolver, see how it does, or have the system ask it")
    query = branch.command(
        "query",
        "dns:query",
        "ask the resolver for a name",
        "  sockslocal dns query db.internal\n  sockslocal dns query example.org MX",
    )
    query.add_argument("name", metavar="NAME", help="the name")
    query.add_argument("type", metavar="TYPE", nargs="?", default="A", help="A (default), AAAA, MX, …")
    json_option(query)
    branch.command("flush", "dns:flush", "forget all cached answers")
    json_option(branch.command("status", "dns:status", "how the upstreams and the cache are doing"))
    _system_dns(branch)


def _system_dns(branch: Branch) -> None:
    use = branch.command(
        "use-system",
        "system_dns:use_system",
        "have the whole system ask the resolver, until it ends; needs root, and asks for it",
        "  sockslocal dns use-system                 by systemd-resolved or NetworkManager\n"
        "  sockslocal dns use-system --resolv-conf   where neither is there",
    )
    use.add_argument(
        "--resolv-conf",
        action="store_true",
        help="replace /etc/resolv.conf, if nothing else helps",
    )
    use.add_argument(
        "--fail-closed",
        action="store_true",
        help="when sockslocal ends, look no names up rather than by the servers of before",
    )
    branch.command(
        "restore",
        "system_dns:restore",
        "have the system look names up as before; also when nothing else works any more",
    )


def _config(root: Branch) -> None:
    branch = root.branch("config", "find or check the configuration file")
    branch.command(
        "path", "config:path", "print where the configuration is", '  "$EDITOR" "$(sockslocal config path)"'
    )
    branch.command("check", "config:check", "check the configuration without using it")


def _logs(root: Branch) -> None:
    parser = root.command("logs", "logs:show", "print the end of the log", "  sockslocal logs -f")
    parser.add_argument("-f", "--follow", action="store_true", help="stay, and print what comes")
    parser.add_argument(
        "-n", "--lines", metavar="N", type=number, default=100, help="how many lines (default 100)"
    )


def _tray(root: Branch) -> None:
    parser = root.command(
        "tray",
        "tray:show",
        "show an icon in the panel, to switch from; starts sockslocal where it does not run",
        "  sockslocal tray\n  sockslocal tray --wait 1m    at login, when the panel may come later",
    )
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=seconds,
        default=0.0,
        help="how long a panel may take to come (default 0s)",
    )
    parser.add_argument(
        "--panel",
        metavar="COLOUR",
        choices=("auto", "dark", "light"),
        default="auto",
        help="for which panel the icon is drawn: dark, light, or auto (default), which asks the desktop",
    )


def _autostart(root: Branch) -> None:
    parser = root.command(
        "autostart",
        "autostart:switch",
        "have sockslocal and its tray start at login, or not",
        "  sockslocal autostart on\n  sockslocal autostart         how it is",
    )
    parser.add_argument(
        "switch",
        metavar="on|off|status",
        choices=("on", "off", "status"),
        nargs="?",
        default="status",
        help="default: status",
    )
    json_option(parser)


def _doctor(root: Branch) -> None:
    parser = root.command(
        "doctor",
        "doctor:show",
        "look at everything that may be wrong, with what mends it",
        "  sockslocal doctor                       exit code 1 if a check fails\n"
        "  sockslocal doctor --bundle report.zip   with what a report of an error needs",
    )
    json_option(parser)
    parser.add_argument(
        "--bundle",
        metavar="FILE",
        help="write configuration, status, log and all checks into FILE, a zip archive, without passwords",
    )


def _completion(root: Branch) -> None:
    parser = root.command(
        "completion",
        "completion:show",
        "print a script that completes commands in a shell",
        "  sockslocal completion bash > ~/.local/share/bash-completion/completions/sockslocal\n"
        '  sockslocal completion zsh > "${fpath[1]}/_sockslocal"\n'
        "  sockslocal completion fish > ~/.config/fish/completions/sockslocal.fish",
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    names = root.hidden("_names", "names:show")
    names.add_argument("kind", choices=get_args(Names), help="of what")
