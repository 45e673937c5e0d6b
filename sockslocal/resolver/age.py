"""Answers that were kept by others before they came here."""

import msgspec

from sockslocal.resolver.answer import Answer


def older(answer: Answer, seconds: int) -> Answer:
    """`answer` with that much less left of every TTL, as an HTTP cache kept it so long (RFC 8484 §5.1)."""
    if not seconds:
        return answer
    left = tuple((offset, max(ttl - seconds, 0)) for offset, ttl in answer.ttls)
    body = bytearray(answer.body)
    for offset, ttl in left:
        body[offset : offset + 4] = ttl.to_bytes(4, "big")
    lifetime = max(answer.lifetime - seconds, 0)
    return msgspec.structs.replace(answer, body=bytes(body), ttls=left, lifetime=lifetime)
