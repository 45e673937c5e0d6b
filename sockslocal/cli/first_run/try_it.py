"""One command that shows the new forward at work."""

import shutil

from sockslocal.address import Endpoint
from sockslocal.cli.first_run.plan import ForwardAnswer

_BY_PORT = {
    22: "ssh -p {port} {host}",
    80: "curl -i http://{host}:{port}/",
    8000: "curl -i http://{host}:{port}/",
    8080: "curl -i http://{host}:{port}/",
    443: "curl -i --connect-to ::{host}:{port} https://{target}/",
    3306: "mysql -h {host} -P {port}",
    3389: "xfreerdp /v:{host}:{port}",
    5432: "psql -h {host} -p {port}",
    5900: "vncviewer {host}::{port}",
    6379: "redis-cli -h {host} -p {port} ping",
}
"""What speaks with what usually listens there."""

_FOR_ANY = {"tcp": "nc {host} {port}", "udp": "nc -u {host} {port}"}


def command(forward: ForwardAnswer | None, resolver_port: int | None) -> str:
    """The command; one whose program is not here would be of no use."""
    if forward is not None:
        host, port = forward.listen
        known = _BY_PORT.get(forward.to.port, "") if forward.kind == "tcp" else ""
        for template in filter(_is_here, (known, _FOR_ANY[forward.kind])):
            return template.format(host=host, port=port, target=_target(forward.to))
        return ""
    return "sockslocal dns query example.com" if resolver_port else "sockslocal status"


def _target(to: Endpoint) -> str:
    """As in a URL."""
    return str(to).removesuffix(":443")


def _is_here(template: str) -> bool:
    return bool(template) and shutil.which(template.split(maxsplit=1)[0]) is not None
