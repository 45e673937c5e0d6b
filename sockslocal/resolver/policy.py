"""Which names are answered here, and who is asked for the others; it changes while the resolver runs."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec

from sockslocal.config.model import Allow, Ask, Direct, DnsPolicy, RuleAction
from sockslocal.config.model import Upstream as UpstreamConfig
from sockslocal.problems import Problem
from sockslocal.resolver.answer import LOCAL, Answer
from sockslocal.resolver.cache import Cache
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.internal_addresses import leads_inside
from sockslocal.resolver.local_answers import TTL, AskOthers, Blocked, nothing
from sockslocal.resolver.names import first_name, names_in
from sockslocal.resolver.pipeline import Found, Rest
from sockslocal.resolver.policy_files import Contents, PolicyFiles
from sockslocal.resolver.records import AAAA
from sockslocal.resolver.rules import Rules
from sockslocal.resolver.tasks import cancelled
from sockslocal.resolver.tunnel import Tunnel
from sockslocal.resolver.upstream import Upstream
from sockslocal.resolver.upstreams import Upstreams
from sockslocal.resolver.wire import Query

SLICE = 100
"""Names of the cache that are looked up in one iteration of the loop: a millisecond."""


class Policy:
    """Rules, hosts files, block lists, special names, and the groups of upstreams that rules name.

    What a rule's upstreams say is not filtered: whoever names them knows what they are for. What others say
    is blocked where a CNAME leads to a blocked name. That is kept as answers are, so that a hit need not look
    for it; when the files change, all goes that was blocked so, or would be now.
    """

    def __init__(
        self, policy: DnsPolicy, *, others: Upstreams, tunnel: Tunnel, direct: Tunnel, cache: Cache
    ) -> None:
        self._others = others
        self._tunnel = tunnel
        self._direct = direct
        self._cache = cache
        self._digester = Digester()
        self._policy = policy
        self._contents = Contents()
        self._rules = Rules(policy)
        self._generation = 0
        self.blocked = 0
        """Queries for blocked names, without those that a hit answers."""
        self._groups: dict[RuleAction, Upstreams] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.files = PolicyFiles(self._renew)
        self._choose()

    def open(self) -> None:
        """Begin to read files: queries wait until they were read for the first time, for a while."""
        self.files.watch(self._policy)

    def update(self, policy: DnsPolicy) -> None:
        """Go by another one from now on."""
        self._policy = policy
        self._rules = Rules(policy, *self._contents)
        self.distrust()
        self._choose()
        self.files.watch(policy)

    def distrust(self) -> None:
        """What is being asked now is answered, and not kept."""
        self._generation += 1

    @property
    def listed(self) -> int:
        """The names in block lists."""
        return len(self._contents.blocks)

    @property
    def all(self) -> tuple[Upstream, ...]:
        """The upstreams of every group."""
        return tuple(upstream for group in self._all_groups() for upstream in group.all)

    @property
    def problem(self) -> Problem | None:
        """Why a group did not answer, else which file cannot be read."""
        problems = (group.problem for group in self._all_groups())
        return next(filter(None, problems), self.files.problem)

    async def ready(self) -> None:
        """Return once all that is said of names is known, as far as it can be."""
        await self.files.ready()

    def is_silent_on(self, query: Query, answer: Answer) -> bool:
        """Whether nothing is said of it, so that an `answer` of former times is as good as any."""
        treatment = self._rules.of(query.name)
        if treatment not in (None, AskOthers(Allow())) or self._answer(query) is not None:
            return False
        return self._cloaked(query.name, answer) is None

    def group_of(self, query: Query) -> RuleAction | None:
        """Which group of upstreams is asked: that of a rule, or None for those that are asked otherwise."""
        treatment = self._rules.of(query.name)
        action = treatment.action if isinstance(treatment, AskOthers) else None
        return None if isinstance(action, Allow) else action

    def forget_problem(self) -> None:
        """What kept upstreams from answering is mended, as far as is known."""
        for group in self._all_groups():
            group.problem = None

    def recover(self) -> None:
        """The network may be another one."""
        for upstream in self.all:
            upstream.recover()

    async def __call__(self, query: Query, rest: Rest) -> Found:
        """The step: answer what is answered here. At first that takes until it is known."""
        await self.files.ready()
        answer = self._answer(query)
        if answer is None:
            return await rest(query)
        self.blocked += answer.error is not None
        return Found(answer)

    async def ask(self, query: Query) -> Answer:
        """The answer of whoever is to be asked; raises NoUpstreamError.

        It is not to be kept where all this has changed in the meantime.
        """
        generation, action = self._generation, self.group_of(query)
        group = self._groups[action] if action is not None else self._others
        answer = await group.ask(query)
        if generation != self._generation:
            answer = msgspec.structs.replace(answer, lifetime=0, transient=True)
        return self._uncloaked(query, answer)

    async def close(self) -> None:
        """End all flows and connections, and what is being read."""
        await self.files.close()
        await cancelled(self._tasks)
        for group in self._all_groups():
            await group.close()

    def _answer(self, query: Query) -> Answer | None:
        treatment = self._rules.of(query.name)
        answer = treatment.answer(query) if treatment is not None else None
        if answer is None and self._policy.filter_aaaa and query.rdtype == AAAA:
            past = isinstance(treatment, AskOthers) and isinstance(treatment.action, Direct)
            return None if past else nothing(query, "filter_aaaa")
        return answer

    def _uncloaked(self, query: Query, answer: Answer) -> Answer:
        """`answer`, or that it is blocked for what it leads to."""
        blocked = self._cloaked(query.name, answer)
        instead = blocked.answer(query) if blocked is not None else None
        if instead is None:
            return answer
        self.blocked += 1
        lifetime = min(answer.lifetime, TTL)
        return msgspec.structs.replace(instead, lifetime=lifetime, aliases=answer.aliases)

    def _is_past(self, key: bytes) -> bool:
        """Whether what is kept under `key` is not what would be answered now."""
        name, answer = first_name(key), self._cache.answer(key)
        if answer is None:
            return False
        treatment = self._rules.of(name)
        if answer.path == LOCAL or (treatment is not None and not isinstance(treatment, AskOthers)):
            return True
        return self._cloaked(name, answer) is not None

    def _cloaked(self, name: bytes, answer: Answer) -> Blocked | None:
        """What is said instead of an `answer` that leads to a blocked name."""
        return self._rules.cloaked(name, names_in(answer.aliases)) if answer.aliases else None

    def _all_groups(self) -> Iterator[Upstreams]:
        yield self._others
        yield from self._groups.values()

    def _choose(self) -> None:
        """Have a group for each action that asks; those that are of use no more end."""
        self._others.digester.unwanted = leads_inside if self._policy.rebind_protection else None
        old, self._groups = self._groups, {}
        for rule in self._policy.rules:
            action = rule.action
            if isinstance(action, Ask | Direct) and action not in self._groups:
                self._groups[action] = old.pop(action) if action in old else self._group(action)
        for group in old.values():
            self._spawn(group.close())

    def _group(self, action: Ask | Direct) -> Upstreams:
        if isinstance(action, Direct):
            return Upstreams((UpstreamConfig("udp", action.server),), self._direct, self._digester)
        return Upstreams(action.upstreams, self._tunnel, self._digester)

    def _renew(self, contents: Contents) -> None:
        """The files say something else: what is kept and would not be answered now goes."""
        self._contents = contents
        self._rules = Rules(self._policy, *contents)
        self.distrust()
        self._spawn(self._purge(self._generation))

    async def _purge(self, generation: int) -> None:
        keys = self._cache.keys()
        for start in range(0, len(keys), SLICE):
            for key in filter(self._is_past, keys[start : start + SLICE]):
                self._cache.remove(key)
            await asyncio.sleep(0)
            if generation != self._generation:
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="dns: policy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
