"""The daemon: whether it runs, answers and is the one that is installed."""

from sockslocal import __version__
from sockslocal.doctor.report import Check, Section, troubled
from sockslocal.doctor.scene import Scene
from sockslocal.health import troubles
from sockslocal.status import Status


def section(scene: Scene) -> Section:
    """What it says of itself; that of servers and forwards has sections of its own."""
    status = scene.status
    if status is None:
        (trouble,) = troubles(None, scene.absence)
        checks = [troubled(f"daemon.{trouble.problem.code}", "Process", trouble)]
    else:
        checks = [_process(status), _tunnel(status), _version(status)]
        checks += [
            troubled(f"daemon.{trouble.problem.code}", trouble.problem.title, trouble)
            for trouble in troubles(status)
            if trouble.about == "daemon" and trouble.category != "config"
        ]
    return Section("daemon", "Daemon", tuple(checks))


def _process(status: Status) -> Check:
    daemon = status.daemon
    if daemon.state == "stopping":
        text = f"process {daemon.pid} is about to end"
        return Check("daemon.process", "Process", "note", text, "sockslocal restart")
    text = f"process {daemon.pid} answers, {daemon.rss_bytes / 1e6:.0f} MB"
    return Check("daemon.process", "Process", "good", text)


def _tunnel(status: Status) -> Check:
    if status.tunnel.on:
        return Check("daemon.tunnel", "Tunnel", "good", "on")
    return Check("daemon.tunnel", "Tunnel", "note", "switched off", "sockslocal on")


def _version(status: Status) -> Check:
    running = status.daemon.version
    if running == __version__:
        return Check("daemon.version", "Version", "good", running)
    text = f"{running} runs, but {__version__} is installed"
    return Check("daemon.version", "Version", "note", text, "sockslocal restart")
