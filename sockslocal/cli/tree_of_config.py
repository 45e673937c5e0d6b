"""The commands that edit what is configured, and its passwords: names, arguments, help."""

import argparse

from sockslocal.cli.parser import Branch, Parser, json_option


def forward(root: Branch) -> None:
    """`forward add`, `set`, `remove`, `list`."""
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
    json_option(branch.command("list", "forward:show", "list the forwards"))


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


def server(root: Branch) -> None:
    """`server add`, `use`, `remove`, `list`, `test`."""
    branch = root.branch("server", "add, remove, list or test SOCKS5 servers")
    _add_server(branch)
    use = branch.command(
        "use",
        "server:use",
        "make a server the default: what names no server goes through it at once",
        "  sockslocal server use home",
    )
    use.add_name("name", "servers", metavar="NAME", help="the server")
    remove = branch.command(
        "remove",
        "server:remove",
        "remove a server that no forward names; those that name none go through the next one",
    )
    remove.add_name("name", "servers", metavar="NAME", help="the server")
    json_option(branch.command("list", "server:show", "list the servers"))
    test = branch.command(
        "test",
        "server_test:test",
        "find out what a server can do; takes up to 5 s",
        "  sockslocal server test\n  sockslocal server test office --json | jq .profile",
    )
    test.add_name("name", "servers", metavar="NAME", nargs="?", help="default: the first server")
    json_option(test)


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


def login(root: Branch) -> None:
    """`login` and `logout`."""
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
