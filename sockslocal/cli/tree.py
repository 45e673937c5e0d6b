"""The tree of commands: names, arguments, help. Nothing here does anything."""

import argparse
from typing import get_args

from sockslocal import __version__
from sockslocal.cli.parser import Branch, Names, Parser, number, seconds

_FIRST_STEPS = """\
first steps:
  sockslocal demo                   see it work, on this machine alone
  sockslocal server add office proxy.example.net:1080 --username ana
  sockslocal login office           put the password into the keyring
  sockslocal forward add tcp db 127.0.0.1:5432 db.internal:5432
  sockslocal start
  sockslocal status                 what is up, what is wrong and what mends it

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
    _daemon(root)
    _status(root)
    _switches(root)
    _forward(root)
    _server(root)
    _login(root)
    _dns(root)
    _config(root)
    _logs(root)
    _tray(root)
    _completion(root)
    return parser


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


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
    _json(parser)
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


def _forward(root: Branch) -> None:
    branch = root.branch("forward", "add, change, remove or list forwards")
    add = branch.command(
        "add",
        "forward:add",
        "add a forward; it takes effect at once",
        "  sockslocal forward add tcp db 127.0.0.1:5432 db.internal:5432\n"
        "  sockslocal forward add udp game 127.0.0.1:27015 203.0.113.9:27015 --idle 2m\n"
        "  sockslocal forward add tcp web 127.0.0.1:8000-8009 web.internal:8000-8009",
    )
    add.add_argument("kind", metavar="tcp|udp", choices=("tcp", "udp"), help="what it carries")
    add.add_argument("name", metavar="NAME", help="what to call it")
    add.add_argument(
        "listen", metavar="LISTEN", help="where programs connect to: ADDRESS:PORT or unix:/PATH, here"
    )
    add.add_argument("to", metavar="TO", help="where that leads: HOST:PORT; the server looks the name up")
    _forward_options(add, "store_true")
    change = branch.command(
        "set",
        "forward:change",
        "change a forward; it takes effect at once",
        "  sockslocal forward set db --listen 127.0.0.1:15432\n"
        "  sockslocal forward set db --server office --server home",
    )
    change.add_name("name", "forwards", metavar="NAME", help="the forward")
    change.add_argument("--listen", metavar="LISTEN", help="where programs connect to, here")
    change.add_argument("--to", metavar="TO", help="where that leads")
    _forward_options(change, argparse.BooleanOptionalAction)
    remove = branch.command("remove", "forward:remove", "remove a forward; its connections end")
    remove.add_name("name", "forwards", metavar="NAME", help="the forward")
    _json(branch.command("list", "forward:show", "list the forwards"))


def _forward_options(parser: Parser, switch: str | type[argparse.Action]) -> None:
    parser.add_name(
        "--server",
        "servers",
        metavar="NAME",
        action="append",
        help="the server to go through (default: the first); give it again for one to fall back on",
    )
    parser.add_argument(
        "--idle", metavar="TIME", help="UDP: end a flow after so long without a datagram (default 60s)"
    )
    parser.add_argument(
        "--share",
        metavar="HOW",
        help="UDP: auto (default); never: a program here may hear from whom it has not written to, at the "
        "cost of a connection for each program",
    )
    parser.add_argument(
        "--only-me",
        action=switch,
        help="TCP: refuse connections that other users of this machine make",
    )
    parser.add_argument(
        "--allow-lan",
        action=switch,
        help="let LISTEN be an address that other machines can reach",
    )


def _server(root: Branch) -> None:
    branch = root.branch("server", "add, remove, list or test SOCKS5 servers")
    _add_server(branch)
    remove = branch.command(
        "remove",
        "server:remove",
        "remove a server that no forward names; those that name none go through the next one",
    )
    remove.add_name("name", "servers", metavar="NAME", help="the server")
    _json(branch.command("list", "server:show", "list the servers"))
    test = branch.command(
        "test",
        "server_test:test",
        "find out what a server can do; takes up to 5 s",
        "  sockslocal server test\n  sockslocal server test office --json | jq .profile",
    )
    test.add_name("name", "servers", metavar="NAME", nargs="?", help="default: the first server")
    _json(test)


def _add_server(branch: Branch) -> None:
    add = branch.command(
        "add",
        "server:add",
        "add a server; the first one is the default",
        "  sockslocal server add office proxy.example.net:1080 --username ana\n"
        "  sockslocal server add home [2001:db8::7]:1080\n"
        "  sockslocal server add cafe cafe.example.net:443 --tls\n"
        '  sockslocal server add lab lab:1080 --username ana --password-from "command:pass lab"',
    )
    add.add_argument("name", metavar="NAME", help="what to call it")
    add.add_argument("address", metavar="ADDRESS", help="host:port; IPv6 in brackets")
    add.add_argument("--username", metavar="USER", help="log in as USER (default: no login)")
    add.add_argument(
        "--password-from",
        metavar="SOURCE",
        help="where the password is: keyring (default), file:PATH, command:COMMAND (run without a shell), "
        "systemd:NAME or prompt; never the password itself",
    )
    _tls(add)
    _datagrams(add)
    add.add_argument(
        "--connect-timeout", metavar="TIME", help="for looking it up and connecting (default 10s)"
    )


def _tls(parser: Parser) -> None:
    parser.add_argument(
        "--tls", action="store_true", default=None, help="speak TLS with it; its certificate is checked"
    )
    parser.add_argument(
        "--tls-name", metavar="HOST", help="whom the certificate is for (default: the host of ADDRESS)"
    )
    parser.add_argument(
        "--tls-ca",
        metavar="PATH",
        help="certificates of who vouches for it (default: those that the system trusts)",
    )


def _datagrams(parser: Parser) -> None:
    parser.add_argument(
        "--udp", metavar="HOW", help="how datagrams pass: auto (default), associate, uot, hev, gost or off"
    )
    parser.add_argument(
        "--udp-address", metavar="HOST", help="where the UDP relay is, if the server names a wrong place"
    )
    parser.add_argument(
        "--udp-probe",
        metavar="ADDRESS",
        help="a DNS server to ask whether datagrams come back (default 9.9.9.9:53), or off",
    )


def _login(root: Branch) -> None:
    login = root.command(
        "login",
        "login:login",
        "put a server's password into the keyring",
        "  sockslocal login office             asks for it\n"
        "  pass show office | sockslocal login office --stdin",
    )
    login.add_name("server", "servers", metavar="SERVER", nargs="?", help="default: the first server")
    login.add_argument("--stdin", action="store_true", help="read the password from stdin")
    logout = root.command("logout", "login:logout", "take a server's password out of the keyring")
    logout.add_name("server", "servers", metavar="SERVER", nargs="?", help="default: the first server")


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
    _json(query)
    branch.command("flush", "dns:flush", "forget all cached answers")
    _json(branch.command("status", "dns:status", "how the upstreams and the cache are doing"))
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
