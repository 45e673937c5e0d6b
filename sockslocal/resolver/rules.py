"""What is done with a name: the longest suffix that anything is said of wins.

Of two that say something of the same name the user's rule comes first, then hosts files, then what standards
say of special names, and last block lists.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import ip_address

from sockslocal.config.model import Allow, Block, Blocked, DnsPolicy, DnsRule, Fixed
from sockslocal.resolver import local_answers
from sockslocal.resolver.block_list import MAX_LABELS, BlockList
from sockslocal.resolver.hosts import Hosts
from sockslocal.resolver.local_answers import Addresses, AskOthers, Treatment
from sockslocal.resolver.names import to_wire
from sockslocal.resolver.records import suffixes
from sockslocal.resolver.special_names import special_names

NOWHERE = (bytes(4), bytes(16))
"""0.0.0.0 and ::, which no connection can be made to."""

LIST = "a block list"

_SPECIAL = special_names()


class Rules:
    """All that is said of names; it is replaced whole when any of it changes."""

    def __init__(
        self,
        policy: DnsPolicy,
        hosts: Hosts | None = None,
        blocks: BlockList | None = None,
    ) -> None:
        self._nowhere = _addresses_of(policy.blocked)
        self._rules = {to_wire(rule.suffix): self._treatment(rule) for rule in policy.rules}
        self._allowed = {to_wire(rule.suffix) for rule in policy.rules if rule.action == Allow()}
        self._hosts = hosts
        self._blocks = blocks

    def of(self, name: bytes) -> Treatment | None:
        """What is done with `name`, in lower case; None where nothing is said of it."""
        found = self._hosts.find(name) if self._hosts and name not in self._rules else None
        if found is not None:
            return found
        all_suffixes = list(suffixes(name))
        blocks = self._blocks if self._blocks and not self._excepts(all_suffixes) else None
        unlisted = len(all_suffixes) - MAX_LABELS
        for place, suffix in enumerate(all_suffixes):
            found = self._rules.get(suffix) or _SPECIAL.get(suffix)
            if found is None and blocks is not None and place >= unlisted:
                found = self._listed(blocks, suffix, whole=place == 0)
            if found is not None:
                return found
        return None

    def cloaked(self, name: bytes, aliases: Iterable[bytes]) -> local_answers.Blocked | None:
        """What is said in place of an answer that leads over `aliases`, if one of them is blocked.

        None where anything is said of `name` itself, and be it an exception of a list: then it is meant to be
        seen, whatever is behind it. So AdGuard Home and Pi-hole do it.
        """
        if self._excepts(list(suffixes(name))) or self.of(name) is not None:
            return None
        for found in map(self.of, aliases):
            if isinstance(found, local_answers.Blocked):
                return replace(found, zone=name, source=f"{found.source}, for what it is an alias of")
        return None

    def _excepts(self, all_suffixes: Sequence[bytes]) -> bool:
        """Whether no list blocks the name, by a rule of the user's or by one of its own."""
        if not self._allowed.isdisjoint(all_suffixes):
            return True
        return self._blocks is not None and self._blocks.excepts(all_suffixes[-MAX_LABELS:])

    def _listed(self, blocks: BlockList, suffix: bytes, *, whole: bool) -> Treatment | None:
        if blocks.has_beneath(suffix) or (whole and blocks.has(suffix)):
            return local_answers.Blocked(suffix, LIST, self._nowhere)
        return None

    def _treatment(self, rule: DnsRule) -> Treatment:
        source = f'[dns.rules] "{rule.suffix}"'
        match rule.action:
            case Block():
                return local_answers.Blocked(to_wire(rule.suffix), source, self._nowhere)
            case Fixed(addresses):
                return Addresses(tuple(ip_address(address).packed for address in addresses), source)
            case action:
                return AskOthers(action)


def _addresses_of(blocked: Blocked) -> tuple[bytes, ...]:
    return NOWHERE if blocked == "null" else ()
