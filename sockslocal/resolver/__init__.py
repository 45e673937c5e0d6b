"""The private DNS resolver: all it asks goes through the tunnel, and where that fails the answer is SERVFAIL.

    client ─► listen_udp, listen_tcp ─► cache ─► pipeline ─► upstreams ─► ask_udp, ask_tcp ─► Tunnel
                     (wire)            (answer)               (digest)     (channel)

A query that the cache knows is answered from its octets within the listener; any other runs through the
pipeline.
"""

from sockslocal.resolver.memory import Memory
from sockslocal.resolver.resolver import Resolver

__all__ = ["Memory", "Resolver"]
