"""What all sockets of the process share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from sockslocal.net.datagrams import Batch, best_batch
from sockslocal.net.deadlines import Deadlines
from sockslocal.net.descriptors import DescriptorBudget, descriptor_limit
from sockslocal.net.ears import Ears
from sockslocal.net.passed import PassedSockets
from sockslocal.net.pipes import PipePool
from sockslocal.net.poller import Poller, best_poller
from sockslocal.net.watchdog import Watchdog

Clock = Callable[[], float]
"""Seconds that never go back."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The poller and what goes with it; one for the process, made inside the running loop."""

    poller: Poller
    deadlines: Deadlines
    batch: Batch
    pipes: PipePool
    budget: DescriptorBudget
    clock: Clock
    watchdog: Watchdog = field(default_factory=Watchdog)
    ears: Ears = field(default_factory=Ears)
    passed: PassedSockets = field(default_factory=PassedSockets)

    @classmethod
    def make(
        cls,
        poller: Poller | None = None,
        clock: Clock = time.monotonic,
        passed: PassedSockets | None = None,
    ) -> Self:
        """The engine for this platform, or for a given `poller`; `passed` is its own from now on."""
        budget = DescriptorBudget(descriptor_limit())
        return cls(
            poller=poller or best_poller(),
            deadlines=Deadlines(clock),
            batch=best_batch(),
            pipes=PipePool(budget.ceiling),
            budget=budget,
            clock=clock,
            passed=passed or PassedSockets(),
        )

    def stop(self) -> None:
        """Release what is shared; all sockets were closed before."""
        self.deadlines.stop()
        self.watchdog.stop()
        self.pipes.close()
        self.passed.close()
        self.poller.stop()
