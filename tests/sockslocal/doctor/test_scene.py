from fakes.control import fake_daemon, status, using
from sockslocal.doctor.scene import look
from sockslocal.paths import Paths


def test_nothing_is_there(paths: Paths) -> None:
    """That is a fault of the configuration, and no daemon."""
    scene = look(paths)
    assert [fault.problem.code for fault in scene.faults] == ["config-missing"]
    assert scene.absence is not None
    assert (scene.status, scene.absence.code, scene.pid) == (None, "not-running", None)
    assert not scene.is_of_this_config


def test_of_a_broken_configuration_the_rest_is_read(paths: Paths) -> None:
    """All its faults, and what can be used."""
    paths.config.write_text('[server.office]\naddress = "proxy:1080"\n[tcp.db]\nlisten = 3\n')
    scene = look(paths)
    assert len(scene.faults) >= 2
    assert [*scene.config.servers] == ["office"]


def test_whose_configuration_the_daemon_uses(paths: Paths) -> None:
    """One that does not say uses the one that is spoken of."""
    paths.config.write_text("")
    for daemon, same in ((using(paths.config), True), (using(paths.state), False), (using(""), True)):  # type: ignore[arg-type]
        with fake_daemon(paths, first=status(daemon=daemon)):
            scene = look(paths)
        assert (scene.status is not None, scene.is_of_this_config) == (True, same)
