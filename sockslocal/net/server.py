"""A SOCKS5 server as the data plane knows it: how to reach it, and how it fares."""

import random
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass, field

from sockslocal import status
from sockslocal.config.model import Limits, ServerConfig
from sockslocal.errors import ServerError, SockslocalError
from sockslocal.net.backoff import Backoff
from sockslocal.net.dialer import Dial, DialError
from sockslocal.net.engine import Engine
from sockslocal.net.login import Answer, Login
from sockslocal.net.pipelining import PipeliningScout
from sockslocal.net.profile import Profile, key_of
from sockslocal.net.profiles import ProfileStore
from sockslocal.net.server_addresses import ServerAddresses
from sockslocal.net.tls import Tls
from sockslocal.net.udp_service import UdpService
from sockslocal.net.way import Way
from sockslocal.problems import Problem
from sockslocal.socks5.messages import Request

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
"""A server that is down is probed after these seconds, doubling; local connections try at once."""

Done = Callable[[Dial], None]
Failed = Callable[[DialError], None]


@dataclass(frozen=True, slots=True)
class Shared:
    """What the servers of a process have in common, beside the engine; without `profiles` nothing is kept."""

    limits: Limits = field(default_factory=Limits)
    profiles: ProfileStore | None = None


class Server:
    """Dials, associations and the state of one server; `changed` is called when what is shown of it changes.

    `wanted` is called when a dial needs a password that could not be read; it says whether that is
    tried anew.
    """

    def __init__(
        self,
        engine: Engine,
        config: ServerConfig,
        changed: Callable[[], None],
        wanted: Callable[[], bool],
        shared: Shared = Shared(),
    ) -> None:
        self.config = config
        self._profiles = shared.profiles
        self.profile = shared.profiles.get(key_of(config)) if shared.profiles else Profile()
        self.state: status.ServerState = "unknown"
        self.problem: Problem | None = None
        self.latency_ms: float | None = None
        self._engine = engine
        self._changed = changed
        self._closed = False
        self._backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        self._retry: TimerHandle | None = None
        self._probe: Dial | None = None
        self._answers: Callable[[], None] | None = None
        """Whom to tell that it is there, after it was in doubt."""
        self.way = Way(
            name=config.name,
            endpoint=config.address,
            addresses=ServerAddresses(config.address, engine.clock),
            login=Login(config.name, engine.clock, wanted),
            connect_timeout=config.connect_timeout,
            password_remedy=config.password_from.remedy(config.name),
            reached=self._note_up,
            missed=self._note_failed,
            doubted=self._doubt,
            tls=Tls(config.tls) if config.tls else None,
        )
        self._scout = PipeliningScout(engine, self)
        self.udp = UdpService(engine, self, shared.limits, changed)

    @property
    def usable(self) -> bool:
        """Whether nothing speaks against dialling it."""
        return self.state in ("up", "unknown", "connecting")

    def snapshot(self) -> status.Server:
        return status.Server(
            address=str(self.config.address),
            state=self.state,
            latency_ms=self.latency_ms,
            udp=self.udp.rung,
            problem=self.problem,
        )

    def dial(self, request: Request | None, done: Done, failed: Failed) -> Dial:
        """A dial, not yet started."""
        return Dial(self._engine, self.way, request, done, failed)

    def learn(self, **facts: object) -> None:
        """Note in the profile, and keep, what was found out."""
        self._keep(self.profile.replace(**facts))

    def go_by(self, examined: Profile) -> None:
        """Keep, and go by, what an examination has found."""
        self._keep(examined.over(self.profile))
        self._scout.settle()
        self.udp.go_by(examined)

    def _keep(self, profile: Profile) -> None:
        self.profile = profile
        if self._profiles is not None:
            self._profiles.put(key_of(self.config), self.profile)

    def settle_login(self, answer: Answer) -> None:
        """The password was read, or could not be; None: the server wants no login."""
        if isinstance(answer, SockslocalError):
            locked = answer.problem.code == "needs-unlock"
            self._stop_retrying()
            self._set("needs-unlock" if locked else "auth-failed", answer.problem)
            self.way.login.settle(answer)
        else:
            self._cancel_probe()  # it may be on its way with the old password
            self.way.login.settle(answer)
            self.probe()

    def forget_login(self) -> None:
        """The password is about to be read again."""
        self.way.login.forget()
        self._set("connecting", None)

    def probe(self) -> None:
        """See whether the server can be reached and accepts the login."""
        self._stop_retrying()
        if self._probe is None:
            if self.state != "up":
                self._set("connecting", self.problem if self.state == "down" else None)
            self._probe = self.dial(None, self._probed, self._probe_failed)
            self._probe.start()

    def recover(self, answers: Callable[[], None]) -> None:
        """The network may be another one: see whether the server is there, and call `answers` when it is.

        Pauses after failures are of the past, but not after a login that it rejected.
        """
        self._answers = answers
        self._backoff.reset()
        self.way.addresses.doubt()
        self.udp.forgive()
        if self.state not in ("needs-unlock", "auth-failed"):
            self._cancel_probe()  # it may be on its way in the old network
            self.probe()

    def close(self) -> None:
        """Stop all that goes on of itself; connections that are open, or on their way, go on."""
        self._closed = True
        self._stop_retrying()
        self._cancel_probe()
        self._scout.close()
        self.udp.close()
        self.way.login.close()

    def _probed(self, dial: Dial) -> None:
        self._probe = None
        dial.close()

    def _probe_failed(self, _error: ServerError) -> None:
        self._probe = None
        if self.state == "connecting":  # it failed for a want of our own, and the server is as it was
            self._set("down" if self.problem else "unknown", self.problem)
            self._retry_later()

    def _cancel_probe(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    def _note_up(self, dial: Dial) -> None:
        self.latency_ms = 1000 * (dial.logged_in - dial.started)
        self.way.addresses.prefer(dial.address)
        self._works()
        if not self._scout.settled and dial.request is not None and not self._closed:
            self._scout.granted()

    def _note_failed(self, error: DialError) -> None:
        if error.server_answers:
            self._works()
        elif error.rejected is not None:
            if self.way.login.reject(error.rejected, error):
                self._stop_retrying()
                self._set("auth-failed", error.problem)
        elif error.problem.code.startswith("server-"):
            self._set("down", error.problem)
            self._retry_later()

    def _works(self) -> None:
        """The server was reached and accepted the login."""
        if self.state != "up":
            self._stop_retrying()
            self._backoff.reset()
            self.way.login.accept()
            self._set("up", None)
        if self._answers is not None:
            answers, self._answers = self._answers, None
            self.udp.check()
            answers()

    def _doubt(self) -> None:
        self._scout.doubt()

    def _set(self, state: status.ServerState, problem: Problem | None) -> None:
        if state != "up":
            self._scout.doubt()  # another server may come in its place
        if not self._closed and (state, problem) != (self.state, self.problem):
            self.state, self.problem = state, problem
            self._changed()

    def _retry_later(self) -> None:
        if self._retry is None and not self._closed:
            jitter = random.uniform(0.8, 1.2)  # noqa: S311  spreads load, guards nothing
            self._retry = self._engine.poller.later(self._backoff.next() * jitter, self.probe)

    def _stop_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
