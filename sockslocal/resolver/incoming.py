"""Queries out of a client's stream, where each has its length before it (RFC 1035 §4.2.2)."""

from sockslocal.resolver.wire import HEADER, MAX_QUERY, asks_one_question

_LENGTH = 2


class NotDnsError(ValueError):
    """What no client of DNS sends: nobody knows where its messages begin."""


class Incoming:
    """What has come and is not taken yet.

    What a web page can have a browser send begins with the letters of an HTTP method: a length above 16,000.
    Were it passed over as one long message, the page could have queries follow. So what is longer than a
    query has to begin like one.
    """

    def __init__(self) -> None:
        self._octets = bytearray()

    def add(self, data: bytes) -> None:
        """More has come."""
        self._octets += data

    def clear(self) -> None:
        """Forget what has come."""
        self._octets.clear()

    @property
    def ready(self) -> bool:
        """Whether there is something to `take`."""
        return len(self._octets) >= _LENGTH and (self._is_odd or len(self._octets) >= self._end)

    def take(self) -> bytes:
        """The next message, when it is `ready`; raises NotDnsError where it is none."""
        if self._is_odd:
            raise NotDnsError
        end = self._end
        message = bytes(self._octets[_LENGTH:end])
        del self._octets[:end]
        return message

    @property
    def _end(self) -> int:
        """Where the first message ends."""
        return _LENGTH + (self._octets[0] << 8 | self._octets[1])

    @property
    def _is_odd(self) -> bool:
        """Whether what is there begins neither a message nor what could be answered as a malformed one."""
        begin = _LENGTH + HEADER
        if self._end <= _LENGTH + MAX_QUERY:
            return self._end < begin
        return len(self._octets) >= begin and not asks_one_question(bytes(self._octets[_LENGTH:begin]))
