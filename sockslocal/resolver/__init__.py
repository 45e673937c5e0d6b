"""The private DNS resolver: all it asks goes through the tunnel, and where that fails the answer is SERVFAIL.

    client ─► server, streamserver ─► cache ─► pipeline ─► upstreams ─► datagrams, streams ─► Tunnel
                    (wire)           (answer)               (digest)

A query that the cache knows is answered from its octets within the listener; any other runs through the
pipeline.
"""

from sockslocal.resolver.resolver import Resolver

__all__ = ["Resolver"]
