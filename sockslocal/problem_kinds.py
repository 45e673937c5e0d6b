"""The kinds of things that can be wrong, and what is to be said of each: the one registry of `problems`."""

from enum import IntEnum
from typing import Literal

import msgspec


class ExitCode(IntEnum):
    """What the process answers to a shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    CONFIG = 4
    CREDENTIALS = 5
    SERVER = 6
    PERMISSION = 7


Severity = Literal["info", "warning", "error", "locked"]
"""`info`: nobody has to be told; `warning`: most works all the same; `locked`: it waits to be unlocked."""


class Kind(msgspec.Struct, frozen=True):
    """A row of the registry; `text` and `remedy` are templates as for `str.format`.

    It is shown once it has lasted `after_s` seconds: 0 for what waits for the person, more for what may heal
    by itself.
    """

    title: str
    text: str
    remedy: str
    exit_code: ExitCode = ExitCode.FAILED
    severity: Severity = "error"
    after_s: float = 0.0


_BLIP = 5.0  # as Tailscale's TimeToVisible
_C, _K, _S, _P = ExitCode.CONFIG, ExitCode.CREDENTIALS, ExitCode.SERVER, ExitCode.PERMISSION

REGISTRY: dict[str, Kind] = {
    # configuration
    "config-missing": Kind(
        "No configuration", "there is no {path}", "sockslocal server add office ADDRESS", _C
    ),
    "config-unreadable": Kind(
        "Configuration unreadable", "{path} cannot be read: {reason}", "{remedy}", _C, severity="warning"
    ),
    "config-invalid": Kind("Configuration invalid", "{text}", "{remedy}", _C, severity="warning"),
    "config-vanished": Kind(
        "Configuration vanished",
        "{path} is not there any more: all goes on as before",
        "bring the file back; or, to end everything: sockslocal stop",
        _C,
        severity="warning",
    ),
    "config-emptied": Kind(
        "Configuration emptied",
        "{path} is empty, as a save that went wrong leaves it: all goes on as before",
        "bring the file back; or, to end everything: sockslocal stop",
        _C,
        severity="warning",
    ),
    "config-unwritable": Kind(
        "Configuration not writable", "{path} cannot be written: {reason}", "{remedy}", _P, severity="warning"
    ),
    "config-busy": Kind(
        "Configuration busy",
        "another command has been editing {path} for {seconds:g} s",
        "wait until it is done, and try again",
        _C,
        severity="warning",
    ),
    "not-enabled": Kind(
        "Not enabled",
        "{name!q} is not enabled in {path}",
        "remove enabled = false from [{table}]",
        _C,
        severity="info",
    ),
    "switches-unkept": Kind(
        "Switches not kept",
        "what was switched on and off is forgotten when the daemon ends: {path} cannot be written: {reason}",
        "{remedy}",
        _P,
        severity="warning",
    ),
    # listening
    "port-in-use": Kind(
        "Port in use",
        "{kind} {name!q} cannot listen on {listen}: the port is in use by {holder}",
        "{remedy}",
    ),
    "listen-denied": Kind(
        "Not allowed to listen",
        "{kind} {name!q} cannot listen on {listen}: ports below 1024 need a privilege this user lacks",
        "{remedy}",
        _P,
    ),
    "listen-failed": Kind("Cannot listen", "{kind} {name!q} cannot listen on {listen}: {reason}", "{remedy}"),
    "only-me-unavailable": Kind(
        "Cannot tell users apart",
        "forward {name!q} is for this user only, but here it cannot be told who connects to {listen}",
        "remove only_me from [tcp.{name}]",
    ),
    "descriptors-exhausted": Kind(
        "Out of file descriptors",
        "new connections wait until some of the {limit} descriptors are free again",
        "raise the limit with `ulimit -n`, or close connections",
        severity="warning",
        after_s=_BLIP,
    ),
    # the server, or the way to it
    "server-unresolvable": Kind(
        "Server look-up failed",
        "the name {host!q} of the server could not be looked up: {reason}",
        "check [server.{server}] address",
        _S,
        after_s=_BLIP,
    ),
    "server-unreachable": Kind(
        "Server unreachable",
        "{address} cannot be connected to: {reason}",
        "check that the server runs and that the network is up",
        _S,
        after_s=_BLIP,
    ),
    "server-timeout": Kind(
        "Server does not answer",
        "{address} did not finish the {stage} within {seconds:g} s: {stage.awaited} was waited for",
        "{stage.suspect}",  # of socks5.messages.Stage
        _S,
        after_s=_BLIP,
    ),
    "server-closed": Kind(
        "Server closed the connection",
        "{address} closed the connection during the {stage}",
        "{remedy}",
        _S,
        after_s=_BLIP,
    ),
    "server-not-socks5": Kind(
        "Not a SOCKS5 server",
        "{address} does not speak SOCKS5: {detail}",
        "check [server.{server}] address",
        _S,
    ),
    "server-tls": Kind(
        "No TLS with the server", "no TLS with {address}: {reason}", "{remedy}", _S, after_s=_BLIP
    ),
    "server-no-method": Kind(
        "No common way to log in", "{address} accepts none of the methods offered: {offered}", "{remedy}", _S
    ),
    "server-wrong-method": Kind(
        "Another way to log in",
        "{address} chose {method}, which was not offered: only {offered} was",
        "{remedy}",
        _S,
    ),
    "auth-failed": Kind(
        "Login rejected",
        "{address} rejected the user name or password of {username!n}",
        "{remedy}",
        _K,
    ),
    "target-refused": Kind(
        "Target not reached",
        "{address} could not connect to {target}: {phrase}",
        "check the target, or the server's rules",
        _S,
        severity="warning",
        after_s=_BLIP,
    ),
    "target-closed": Kind(
        "Target closed at once",
        "{address} reported success for {target} and closed before any data: it is rejected or unreachable",
        "check the target, or the server's rules",
        _S,
        severity="warning",
        after_s=_BLIP,
    ),
    "other-user-refused": Kind(
        "Another user was refused",
        "a connection that another user of this machine made was refused",
        "set only_me = false to let other users in",
        severity="info",
    ),
    "udp-unsupported": Kind(
        "No UDP through this server",
        "{address} does not relay UDP: {phrase}",
        "use TCP forwards and tcp:// upstreams, or a server that relays UDP",
        _S,
        after_s=_BLIP,
    ),
    "udp-silent": Kind(
        "No datagrams come back",
        "{address} accepts UDP, but no datagram comes back",
        "set udp_probe in [server.{server}] to a DNS server that it reaches",
        _S,
        after_s=_BLIP,
    ),
    "udp-remote-invalid": Kind(
        "No such UDP target",
        "{remote} is no address of a single machine and port, and some servers die of datagrams to such",
        "correct the target",
        _S,
        severity="warning",
    ),
    "udp-outside-tls": Kind(
        "UDP would leave the TLS",
        "datagrams of an association with {server!q} would travel outside its TLS",
        'set udp = "auto" in [server.{server}]: UDP over TCP goes inside',
    ),
    "udp-relay-invalid": Kind(
        "UDP relay unusable",
        "{address} named {relay} as its UDP relay, which cannot be used",
        "set udp_address in [server.{server}]",
        _S,
        after_s=_BLIP,
    ),
    "udp-address-unknown": Kind(
        "UDP relay look-up failed",
        "the name of the UDP relay of {address} could not be looked up: {reason}",
        "check udp_address in [server.{server}]",
        _S,
        after_s=_BLIP,
    ),
    "udp-association-ended": Kind(
        "UDP association ended",
        "the UDP association was idle, or the server ended it",
        "a new one is made when it is needed",
        _S,
        severity="info",
        after_s=_BLIP,
    ),
    "udp-flows-exhausted": Kind(
        "Too many UDP flows",
        "all UDP flows through {address} are in use",
        "wait until some are idle",
        _S,
        severity="warning",
        after_s=_BLIP,
    ),
    "udp-off": Kind(
        "UDP is off for this server",
        "the configuration says that {server!q} relays no UDP",
        'set udp = "auto" in [server.{server}]',
    ),
    "server-changed": Kind(
        "Server changed",
        "the settings of {server!q} changed in the meantime",
        "connect again",
        _S,
        severity="info",
        after_s=_BLIP,
    ),
    "tunnel-off": Kind("Tunnel off", "the tunnel is switched off", "sockslocal on", severity="info"),
    # credentials
    "needs-unlock": Kind(
        "Keyring locked",
        "the password of {server!q} is in a keyring that {reason}",
        "unlock the keyring; it is tried again by itself",
        _K,
        severity="locked",
    ),
    "password-awaited": Kind(
        "Waiting for the password",
        "the password of {server!q} is not there yet: {reason}",
        "unlock the keyring, or: sockslocal login {server}",
        _K,
        severity="warning",
        after_s=_BLIP,
    ),
    "password-missing": Kind(
        "No password", "there is no password for {username!n} at {server!q} in {where}", "{remedy}", _K
    ),
    "password-source-failed": Kind(
        "Password out of reach",
        "the password of {server!q} could not be {done} {where}: {reason}",
        "{remedy}",
        _K,
        after_s=_BLIP,
    ),
    "password-invalid": Kind(
        "Password unusable",
        "the password of {server!q} cannot be sent: {reason}",
        "{remedy}",
        _K,
    ),
    # DNS
    "dns-missing": Kind(
        "No resolver",
        "there is no resolver: {path} has no [dns]",
        'add [dns] to it, with listen = "127.0.0.1:5399" and upstreams = ["udp://9.9.9.9"]',
        _C,
        severity="info",
    ),
    "dns-off": Kind("Resolver off", "the resolver is switched off", "sockslocal on dns", severity="info"),
    "dns-no-upstream": Kind(
        "No DNS upstream answers",
        "none of the upstreams answered: {reason}",
        "{remedy}",
        after_s=_BLIP,
    ),
    "dns-file-unreadable": Kind(
        "Hosts file or block list unreadable",
        "{path} of [dns] cannot be read: {reason}",
        "{remedy}",
        severity="warning",
    ),
    "system-dns-refused": Kind(
        "System DNS not changed", "the system's DNS stays as it is: {reason}", "{remedy}"
    ),
    "system-dns-denied": Kind(
        "No permission for the system's DNS",
        "only root may change the system's DNS, and {reason}",
        "run it as root: {remedy}",
        _P,
    ),
    # the daemon and its control socket
    "not-running": Kind(
        "Not running",
        "no sockslocal is running for this user",
        "sockslocal start",
        ExitCode.NOT_RUNNING,
        severity="info",
        after_s=_BLIP,
    ),
    "already-running": Kind(
        "Already running", "sockslocal runs already as process {pid}", "sockslocal status", severity="info"
    ),
    "still-stopping": Kind(
        "Still stopping",
        "process {pid} was told to stop, but has not ended yet",
        "sockslocal restart",
        severity="info",
    ),
    "start-failed": Kind("Did not start", "the daemon ended while starting: {reason}", "sockslocal run"),
    "not-answering": Kind(
        "Not answering",
        "process {pid} holds the lock but did not answer within {seconds:g} s",
        "sockslocal restart",
        after_s=_BLIP,
    ),
    "folder-unsafe": Kind("Unsafe folder", "{path} {reason}", "{remedy}", _P),
    "peer-refused": Kind(
        "Refused",
        "the control socket answers only to the user that started sockslocal",
        "run this as that user",
        _P,
    ),
    "control-busy": Kind(
        "Too many clients",
        "the daemon serves {limit} clients already",
        "end some, such as `sockslocal status --watch`",
        severity="warning",
        after_s=_BLIP,
    ),
    "control-closed": Kind(
        "Connection lost",
        "the daemon closed the control connection before it answered",
        "sockslocal logs",
        severity="warning",
        after_s=_BLIP,
    ),
    "test-busy": Kind(
        "Other tests are running",
        "other tests of servers have been running for {seconds:g} s, and one runs at a time",
        "wait until they are done, and try again",
        severity="info",
    ),
    "autostart-failed": Kind(
        "Start at login not changed", "what starts at login stays as it is, {place}: {reason}", "{remedy}"
    ),
    "usage": Kind("Wrong usage", "{reason}", "{remedy}", ExitCode.USAGE),
    "bad-request": Kind("Request not understood", "{reason}", "sockslocal --help", ExitCode.USAGE),
    "unknown-name": Kind(
        "Unknown name", "there is no {kind} {name!q}; {known}", "sockslocal {kind} list", ExitCode.USAGE
    ),
    "internal": Kind("Internal error", "{reason}", "sockslocal logs", ExitCode.FAILED),
}
