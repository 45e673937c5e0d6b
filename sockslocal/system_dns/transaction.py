"""The order in which the system is switched and restored, each step of which may be the last.

    apply      survey → journal "applying" → change → look whether the system asks us → journal "applied"
    restore    journal "restoring" → as it was → no journal

What fails in between is undone at once. Where the process itself ends, whoever comes next finds the journal.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from sockslocal.system_dns import changes, resolv_conf
from sockslocal.system_dns.backend import Backend, RefusedError, Survey
from sockslocal.system_dns.journal import RESOLV_CONF, Journal, JournalError
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.system import System

SWITCH_S = 4.0
"""From the first change until names are looked up again by the new way; then all is undone, within 5 s."""

_LOOK_S = 0.1

_ASKED_BELOW = "example.com"
"""A name below it, which is in no cache and which no machine knows by itself, shows who is asked."""


class Applied(NamedTuple):
    """What was done, and what the person should know of it."""

    journal: Journal
    warnings: tuple[str, ...] = ()


class Restored(NamedTuple):
    """Whether there was anything to restore, and what others have changed since, which stays."""

    was_switched: bool
    left: tuple[str, ...] = ()


class Transaction:
    """Switching and restoring one system, by one of `backends`: the first one that is there.

    The last one, where there are several, is taken only if the person asked for it.
    """

    def __init__(self, system: System, backends: Sequence[Backend]) -> None:
        self.system = system
        self._backends = backends
        self.store = Store(system.root)

    def apply(self, port: int, *, fail_open: bool, last_resort: bool = False) -> Applied:
        """Have the system ask 127.0.0.1:`port`. Raises RefusedError and OSError: all is as before."""
        with self.store.locked():
            backend = self._choose(last_resort=last_resort)
            backend.check_port(port)
            survey = self._survey(backend, port)
            journal = Journal(
                token=secrets.token_hex(8),
                method=backend.method,
                port=port,
                step="applying",
                fail_open=fail_open,
                servers=survey.servers,
                search=survey.search,
                changes=survey.changes,
                redirect=survey.redirect,
                boot=self.system.boot(),
            )
            self.store.write(journal)
            self._switch(backend, journal)
            applied = replace(journal, step="applied")
            self.store.write(applied)
            return Applied(applied, survey.warnings)

    def restore(self, token: str | None = None, *, stale: bool = False) -> Restored:
        """Have all as it was. Raises OSError.

        With `token` only if it is still that switching, with `stale` only if the machine was started since.
        """
        with self.store.locked():
            try:
                journal = self.store.read()
            except JournalError:
                journal = None
                self.store.remove()
            if token is not None and (journal is None or journal.token != token):
                return Restored(was_switched=False)
            if stale and journal is not None and journal.boot == self.system.boot():
                return Restored(was_switched=False)
            if journal is None:
                return Restored(was_switched=self._salvage())
            return Restored(was_switched=True, left=self._undo(journal))

    def fault(self, journal: Journal) -> str:
        """Why the system does not ask the resolver, although the journal says so; empty where it does."""
        try:
            return self._backend_of(journal).fault(journal)
        except OSError as error:
            return error.strerror or str(error)

    def _choose(self, *, last_resort: bool) -> Backend:
        *known, last = self._backends
        for backend in known:
            if backend.is_there():
                return backend
        if known and not last_resort:
            raise RefusedError(
                "neither systemd-resolved nor NetworkManager looks after /etc/resolv.conf",
                "to have it replaced: sockslocal dns use-system --resolv-conf",
            )
        return last

    def _survey(self, backend: Backend, port: int) -> Survey:
        """What is, or, where it is switched already, what was before; from here on there is no journal.

        The second switching in a row changes nothing but the token, as long as nobody has changed anything.
        """
        try:
            old = self.store.read()
        except JournalError:
            old = None
        if old is None:
            self._salvage()  # what is ours would be taken for what was before
            return backend.survey(port)
        if (old.method, old.port, old.step) == (backend.method, port, "applied") and not self.fault(old):
            return Survey(old.servers, old.search, old.changes, redirect=old.redirect)
        self._undo(old)
        return backend.survey(port)

    def _switch(self, backend: Backend, journal: Journal) -> None:
        deadline = self.system.clock() + SWITCH_S
        try:
            backend.switch(journal)
            while fault := self._fault_in_use(backend, journal):
                self._be_patient(deadline, fault)
        except BaseException:
            with suppress(OSError):  # the first error tells more, and the journal stays
                self._undo(journal)
            raise

    def _fault_in_use(self, backend: Backend, journal: Journal) -> str:
        """As `fault`, and whether names are looked up that way."""
        fault = backend.fault(journal)
        if fault or not journal.changes:
            return fault
        servers = resolv_conf.parse(self.system.read(RESOLV_CONF)).servers or ("127.0.0.1",)
        if not self.system.looks_up(servers[0], 53, f"{secrets.token_hex(6)}.{_ASKED_BELOW}"):
            return f"{servers[0]} looks no names up"
        return ""

    def _be_patient(self, deadline: float, fault: str) -> None:
        if self.system.clock() >= deadline:
            raise RefusedError(f"the system did not ask the resolver, and is as before: {fault}")
        self.system.sleep(_LOOK_S)

    def _salvage(self) -> bool:
        """Without a journal: whether there was anything of ours."""
        found = [backend.salvage() for backend in self._backends]
        return any(found)

    def _undo(self, journal: Journal) -> tuple[str, ...]:
        """Have all as it was, but for the files that others have changed, which are the answer."""
        ours = [
            change for change in journal.changes if changes.is_ours(self.system.root, change, journal.step)
        ]
        left = tuple(f"/{change.path}" for change in journal.changes if change not in ours)
        restoring = replace(journal, step="restoring", changes=tuple(ours))
        self.store.write(restoring)
        self._backend_of(journal).restore(restoring)
        self.store.remove()
        return left

    def _backend_of(self, journal: Journal) -> Backend:
        for backend in self._backends:
            if backend.method == journal.method:
                return backend
        raise OSError(0, f"{journal.method} is not of this system")
