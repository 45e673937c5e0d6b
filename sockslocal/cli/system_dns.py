"""`dns use-system`, `dns restore`, and what both leave for others to tell.

`restore` needs neither a daemon nor a configuration: it is for when nothing works.
"""

import secrets
from argparse import Namespace

from sockslocal.address import parse_endpoint
from sockslocal.cli import privileged
from sockslocal.cli.context import Context
from sockslocal.cli.terminal import say
from sockslocal.control.client import Client
from sockslocal.errors import ControlError, SockslocalError
from sockslocal.problems import ExitCode
from sockslocal.status import Dns
from sockslocal.system_dns import state
from sockslocal.system_dns.system import System

_QUERY_SECONDS = 20.0
_FOUND = ("NOERROR", "NXDOMAIN")
_ADDRESS = "127.0.0.1"


def use_system(arguments: Namespace, context: Context) -> int:
    """The whole system asks the resolver, if that looks names up."""
    client = Client(context.paths, deadline=_QUERY_SECONDS)
    dns = client.status().dns
    if dns is None:
        raise ControlError.of("dns-missing", path=context.paths.config)
    if dns.state != "listening":
        raise ControlError(dns.problem) if dns.problem else ControlError.of("dns-off")
    port = _port(dns)
    _prove(client)
    words = [
        *(["fail-closed"] if arguments.fail_closed else []),
        *(["resolv-conf"] if arguments.resolv_conf else []),
    ]
    report = privileged.run_helper("apply", str(port), *words)
    for warning in report["warnings"]:
        say(f"warning: {warning}", "warn")
    say(f"the system asks {_ADDRESS}:{port} now, by {report['applied']}")
    closed = "no name is looked up until the machine restarts"
    end = closed if arguments.fail_closed else "all is as before again"
    say(f"when sockslocal ends, {end}; to undo it now: sockslocal dns restore")
    return ExitCode.DONE


def restore(_arguments: Namespace, _context: Context) -> int:
    """The system's DNS as it was."""
    if state.is_untouched(_system()):
        say("sockslocal has changed nothing about the system's DNS")
        return ExitCode.DONE
    report = privileged.run_helper("restore")
    for path in report["left"]:
        say(f"{path} was changed by somebody else since, and stays as it is", "warn")
    say("all else of the system's DNS is as it was" if report["left"] else "the system's DNS is as it was")
    return ExitCode.DONE


def shown() -> str:
    """What the system does, in one line; empty where it has nothing to do with us."""
    return state.text(state.look(_system()))


def is_asked() -> bool:
    """Whether the system still asks the resolver, or half does."""
    return state.look(_system()).journal is not None


def _port(dns: Dns) -> int:
    """Where the resolver can be asked; the port that all systems know, if it is among them."""
    endpoints = [parse_endpoint(listen) for listen in dns.listen.split(", ")]
    ports = [endpoint.port for endpoint in endpoints if endpoint.host == _ADDRESS]
    if not ports:
        raise SockslocalError.of(
            "system-dns-refused",
            reason=f"the resolver does not listen on {_ADDRESS}",
            remedy=f'put listen = "{_ADDRESS}:5399" into [dns]',
        )
    return 53 if 53 in ports else ports[0]


def _prove(client: Client) -> None:
    """A name that is in no cache is looked up through the tunnel."""
    result = client.call("dns.query", name=f"{secrets.token_hex(6)}.example.com", type="A")
    if result["rcode"] not in _FOUND:
        reason = f"the resolver looks no names up: {result['error'] or result['rcode']}"
        raise SockslocalError.of("system-dns-refused", reason=reason, remedy="sockslocal dns status")


def _system() -> System:
    return System()
