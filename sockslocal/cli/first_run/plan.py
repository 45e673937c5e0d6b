"""What was answered, before anything of it is saved."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sockslocal.address import Endpoint
from sockslocal.config.edit import Wish
from sockslocal.config.rewrite import Setting
from sockslocal.secret import Secret

KEYRING = "keyring"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnswer:
    """The server; `table` is what the file has of it already.

    Without a `password` none is needed, or the one that is kept stays as it is.
    """

    name: str
    address: Endpoint
    username: str | None = None
    password: Secret | None = None
    table: Mapping[str, Setting] = field(default_factory=dict)

    def wish(self, password_from: str | None) -> Wish:
        """The table that it is to have; the keys of which nothing was asked stay."""
        settings: dict[str, Setting | None] = {**self.table, "address": str(self.address)}
        settings["username"] = self.username
        settings["password_from"] = None
        if self.username is not None and password_from not in (None, KEYRING):
            settings["password_from"] = password_from
        return Wish(("server", self.name), settings)

    @property
    def kept_in(self) -> str | None:
        """Where the file says that the password is."""
        source = self.table.get("password_from", KEYRING)
        return source if isinstance(source, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAnswer:
    """The forward from `port` of 127.0.0.1, through the server `through` if that is not the default one."""

    kind: str
    name: str
    port: int
    to: Endpoint
    through: str | None = None

    @property
    def listen(self) -> Endpoint:
        """Where programs connect to."""
        return Endpoint("127.0.0.1", self.port)

    def wish(self, *, tried: bool = False) -> Wish:
        """The table that it is to have; where it is only `tried` there is but one server."""
        settings: dict[str, Setting | None] = {"listen": str(self.listen), "to": str(self.to)}
        if self.through and not tried:
            settings["server"] = self.through
        return Wish((self.kind, self.name), settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverAnswer:
    """The resolver on `port` of 127.0.0.1, which asks `upstream`."""

    port: int
    upstream: str
    through: str | None = None

    def wish(self, *, tried: bool = False) -> Wish:
        """As that of a forward."""
        settings: dict[str, Setting | None] = {
            "listen": f"127.0.0.1:{self.port}",
            "upstreams": [self.upstream],
        }
        if self.through and not tried:
            settings["server"] = self.through
        return Wish(("dns",), settings)


@dataclass(slots=True, kw_only=True)
class Plan:
    """All that is to be saved at the end; `password_from` is where the password is to be, as in the file."""

    server: ServerAnswer
    password_from: str | None = None
    forward: ForwardAnswer | None = None
    resolver: ResolverAnswer | None = None
    at_login: bool = False

    @property
    def wishes(self) -> list[Wish]:
        """The tables of the file."""
        parts = (self.forward, self.resolver)
        return [self.server.wish(self.password_from), *(part.wish() for part in parts if part)]
