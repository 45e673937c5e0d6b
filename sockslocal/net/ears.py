"""Where this process takes datagrams from anybody: what goes to there would come round in a circle."""

import socket

from sockslocal.address import Endpoint, ip_of


class Ears:
    """The sockets that are read and not connected, by their addresses."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[Endpoint, socket.socket] = {}

    def add(self, place: Endpoint, sock: socket.socket) -> None:
        self._places[place] = sock

    def discard(self, place: Endpoint) -> None:
        self._places.pop(place, None)

    def at(self, place: Endpoint) -> socket.socket | None:
        """The one that is bound to `place` now."""
        return self._places.get(place)

    def hears(self, place: Endpoint, here: str) -> bool:
        """Whether one of them gets what is sent to `place`; `here` is an address of this machine."""
        address = ip_of(place.host)
        if place in self._places:
            return True
        if address is None or not (address.is_loopback or place.host == here):
            return False
        everywhere = "0.0.0.0" if address.version == 4 else "::"  # noqa: S104  compares, binds nothing
        return Endpoint(everywhere, place.port) in self._places
