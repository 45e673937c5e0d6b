"""The commands of macOS, against a runner that plays scutil(8); never run there."""

from collections.abc import Sequence
from pathlib import Path

from sockslocal.system_dns import backends
from sockslocal.system_dns.macos import KEY
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.system import Done, System
from sockslocal.system_dns.transaction import Transaction

DNS = """\
DNS configuration

resolver #1
  search domain[0] : lan.test
  nameserver[0] : 192.0.2.1
  nameserver[1] : fe80::1%en0
  if_index : 6 (en0)

resolver #2
  domain   : local
  nameserver[0] : 192.0.2.9
"""


class Scutil:
    """The dynamic store, with what was told it."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.told: list[str] = []

    def run(self, command: Sequence[str], text: str) -> Done:
        if list(command) == ["scutil", "--dns"]:
            return Done(0, DNS)
        assert list(command) == ["scutil"]
        self.told.append(text)
        *_, last = text.splitlines()
        verb, key = last.split()
        if verb == "set":
            self.keys[key] = text
        elif verb == "remove":
            self.keys.pop(key, None)
        elif key in self.keys:
            return Done(
                0,
                "<dictionary> {\n  ServerAddresses : <array> {\n    0 : 127.0.0.1\n  }\n"
                "  ServerPort : 5399\n}\n",
            )
        return Done(0, "  No such key\n")


def test_a_key_of_our_own_claims_all_names(tmp_path: Path) -> None:
    """Any port; `restore`, also without a journal, takes it away."""
    scutil = Scutil()
    system = System(root=tmp_path, run=scutil.run)
    transaction = Transaction(system, backends.of(system, "darwin"))
    journal = transaction.apply(5399, fail_open=True).journal
    assert (journal.servers, journal.search) == (("192.0.2.1", "fe80::1%en0"), ("lan.test",))
    assert scutil.keys == {
        KEY: "d.init\nd.add ServerAddresses * 127.0.0.1\nd.add ServerPort # 5399\n"
        f'd.add SupplementalMatchDomains * ""\nset {KEY}\n'
    }
    assert transaction.fault(journal) == ""
    assert transaction.restore().was_switched
    assert scutil.keys == {}
    assert transaction.fault(journal) == "macOS has forgotten the resolver"
    transaction.apply(5399, fail_open=True)
    Store(tmp_path).remove()
    assert transaction.restore().was_switched
    assert not transaction.restore().was_switched
    assert scutil.keys == {}
