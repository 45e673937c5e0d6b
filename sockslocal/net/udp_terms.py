"""What the associations of one server have in common."""

from dataclasses import dataclass

from sockslocal.address import Endpoint
from sockslocal.net.datagrams import MAX_DATAGRAM
from sockslocal.net.engine import Engine
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.way import Way


@dataclass(slots=True)
class Terms:
    """One for all associations, which changes as more is learned.

    `flows` and `waiting` are how many flows one carries, and how many datagrams wait for it to open.
    `patience` is how long, in seconds, an answer may take before silence means something; `probe` is whom to
    ask then. `smallest` and `largest` are the payloads that the server bears: some die of an empty one, and
    cut a long one. `foreign` where its datagrams come from elsewhere than its relay. `override` replaces the
    host that the server names as its relay.
    """

    engine: Engine
    way: Way
    override: ServerAddresses | None
    flows: int
    waiting: int
    patience: float
    probe: Endpoint | None
    smallest: int = 1
    largest: int = MAX_DATAGRAM
    foreign: bool = False
