"""Whom the system asks for names, and whether that is as it should be."""

from sockslocal.doctor.report import Check, Section
from sockslocal.doctor.scene import Scene
from sockslocal.system_dns import backends, state
from sockslocal.system_dns.system import System

_RESTORE = "sockslocal dns restore"


def section(scene: Scene, system: System | None = None) -> Section:
    """One check: a system that asks a resolver that is not there finds no name at all."""
    return Section("system-dns", "System DNS", (_check(scene, system or System()),))


def _check(scene: Scene, system: System) -> Check:
    id_, title = "system-dns", "Names"
    found = state.look(system)
    journal = found.journal
    if found.fault:
        return Check(id_, title, "bad", found.fault, _RESTORE)
    if journal is not None and scene.status is None:
        text = f"the system asks 127.0.0.1:{journal.port}, by {journal.method}, but no daemon answers there"
        return Check(id_, title, "bad", text, _RESTORE)
    if journal is not None:
        return Check(id_, title, "good", f"the system {state.text(found)}")
    if not state.is_untouched(system):
        return Check(id_, title, "bad", "something of an earlier switching was left behind", _RESTORE)
    return Check(id_, title, "good", f"as it was; looked up by {_method(system)}")


def _method(system: System) -> str:
    """By what the system looks names up, where that is told."""
    for backend in backends.of(system):
        try:
            if backend.is_there():
                return backend.method
        except OSError:
            continue
    return "the system's own means"
