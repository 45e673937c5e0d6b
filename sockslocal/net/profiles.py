"""The profiles of all servers, kept across restarts."""

import logging
from pathlib import Path

import msgspec

from sockslocal.files import read_bounded, write_atomically
from sockslocal.net.profile import Profile

MAX_PROFILES = 64
"""Of servers that were ever examined or used; the one that was touched longest ago goes first."""

MAX_BYTES = 1 << 18

_log = logging.getLogger(__name__)


class _Kept(msgspec.Struct):
    """As it stands in the file."""

    profiles: dict[str, Profile] = {}


class ProfileStore:
    """Profiles by the key of their server (`profile.key_of`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._profiles = _read(path)

    def get(self, key: str) -> Profile:
        """What is known of a server; nothing at first."""
        return self._profiles.get(key, Profile())

    def put(self, key: str, profile: Profile) -> None:
        """Keep `profile`; where it is what is known already, nothing is written."""
        if profile == self.get(key):
            return
        self._profiles.pop(key, None)
        self._profiles[key] = profile
        while len(self._profiles) > MAX_PROFILES:
            del self._profiles[next(iter(self._profiles))]
        self._write()

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, msgspec.json.encode(_Kept(self._profiles)))
        except OSError as error:  # the profile is known, it is only not remembered
            _log.warning("! %s cannot be written: %s", self._path, error.strerror)


def _read(path: Path) -> dict[str, Profile]:
    try:
        return msgspec.json.decode(read_bounded(path, MAX_BYTES), type=_Kept).profiles
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, RecursionError) as error:
        _log.warning("! %s cannot be read, servers are learned anew: %s", path, error)
        return {}
