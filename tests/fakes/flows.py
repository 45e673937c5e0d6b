"""Who UDP flows belong to, in tests."""

from sockslocal.errors import ServerError
from sockslocal.net.datagrams import Batch


class FakeReceiver:
    """Remembers all that a flow brings."""

    def __init__(self) -> None:
        self.openings = 0
        self.octets_sent = 0
        self.payloads: list[bytes] = []
        self.drops = 0
        self.losses: list[ServerError | None] = []

    @property
    def lost_by(self) -> str | None:
        """The code of the problem by which the flow was lost; None where nothing was wrong."""
        (error,) = self.losses
        return error.problem.code if error else None

    def opened(self) -> None:
        self.openings += 1

    def sent(self, octets: int) -> None:
        self.octets_sent += octets

    def received(self, batch: Batch, indices: range, skip: int) -> None:
        self.payloads += [bytes(batch.payload(index)[skip:]) for index in indices]

    def dropped(self, count: int) -> None:
        self.drops += count

    def lost(self, error: ServerError | None) -> None:
        self.losses.append(error)
