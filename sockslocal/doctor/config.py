"""The configuration file: whether it is there, can be read, and says what can be done."""

from sockslocal.doctor.report import Check, Section, failed
from sockslocal.doctor.scene import Scene
from sockslocal.errors import ConfigError

_NO_SERVER = "sockslocal server add office proxy.example.net:1080 --username ana"
_NO_FORWARD = "sockslocal forward add tcp db 127.0.0.1:5432 db.internal:5432"


def section(scene: Scene) -> Section:
    """Every fault, and what is still to be configured."""
    checks = [_fault(fault) for fault in scene.faults] or [*_contents(scene)]
    if scene.status is not None and not scene.is_of_this_config:
        text = f"process {scene.status.daemon.pid} uses another one: {scene.status.daemon.config}"
        checks.append(Check("config.in-use", "In use", "note", text, "sockslocal restart"))
    return Section("config", "Configuration", tuple(checks))


def _fault(fault: ConfigError) -> Check:
    check = failed(f"config.{fault.problem.code.removeprefix('config-')}", "File", fault.problem)
    if fault.line is None:
        return check
    return Check(check.id, f"Line {fault.line}", check.verdict, check.text, check.remedy)


def _contents(scene: Scene) -> list[Check]:
    config = scene.config
    forwards = len(config.tcp) + len(config.udp)
    text = f"{config.path} is valid: {_count(len(config.servers), 'server')}, {_count(forwards, 'forward')}"
    checks = [Check("config.file", "File", "good", f"{text}{', a resolver' if config.dns else ''}")]
    if not config.servers:
        checks.append(Check("config.servers", "Servers", "note", "there is none yet", _NO_SERVER))
    elif not forwards and config.dns is None:
        checks.append(Check("config.forwards", "Forwards", "note", "there is none yet", _NO_FORWARD))
    return checks


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
