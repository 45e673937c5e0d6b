"""Whether a server bears a datagram without octets, of which some relays die.

Their control connection lives on, so it is tried on an association that nobody else uses: a probe, the
empty datagram, and a probe again.
"""

from collections.abc import Callable

from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.net.association import Association
from sockslocal.net.rungs import Rung
from sockslocal.net.udp_opening import MakeDial
from sockslocal.net.udp_terms import Terms
from sockslocal.socks5.datagram import encode_header


class EmptyTest:
    """Calls `found` once: whether it bears one, or None where that could not be found out."""

    def __init__(
        self, terms: Terms, rung: Rung, probe: Endpoint, found: Callable[[bool | None], None]
    ) -> None:
        self.lenient = False
        self._probe = probe
        self._found = found
        self._sent = False
        self._association = Association(terms, rung, self, exclusive=True, trial=False)

    def start(self, make_dial: MakeDial) -> None:
        self._association.start(make_dial)

    def close(self) -> None:
        """End it in the midst; nobody is told."""
        self._found = _nobody
        self._association.end(None)

    def opened(self, association: Association) -> None:
        association.liveness.ask(self._probe)

    def answered(self) -> None:
        if self._sent:
            self._finish(bears=True)
        else:
            self._sent = True
            self._association.send_bare(encode_header(self._probe))
            self._association.liveness.ask(self._probe)

    def silent(self, association: Association, *, probed: bool) -> None:  # noqa: ARG002  as owners are told
        self._finish(bears=False if self._sent else None)

    def proved(self, association: Association) -> None:
        """Nothing more is wanted of it."""

    def named(self) -> None:
        """It carries no flow."""

    def misnames(self) -> bool:
        return False

    def brief(self) -> None:
        """No other one is made."""

    def unfit(self) -> None:
        """Nobody sends on it but this."""

    def ended(self, _association: Association, _error: ServerError | None) -> None:
        self._finish(bears=False if self._sent else None)

    def _finish(self, *, bears: bool | None) -> None:
        found, self._found = self._found, _nobody
        self._association.end(None)
        found(bears)


def _nobody(_bears: bool | None) -> None:  # noqa: FBT001  it takes the place of who is told
    """Has been told already."""
