import pytest

from sockslocal.doctor.redaction import HIDDEN, redact

CANARY = "canary-9fe1c7"


def test_what_is_known_to_hold_no_secret_is_kept() -> None:
    """Sections, known keys with plain values, rules; comments are not."""
    text = f"""\
# {CANARY}
[server.office]   # {CANARY}
address = "proxy:1080"  # {CANARY}
username = 'ana'
tls = true

[dns]
upstreams = ["udp://9.9.9.9", "tcp://8.8.8.8"]
cache = 16_000
[dns.rules]
"corp.example" = "block"
"""
    assert (
        redact(text).text
        == """\
[server.office]
address = "proxy:1080"
username = 'ana'
tls = true

[dns]
upstreams = ["udp://9.9.9.9", "tcp://8.8.8.8"]
cache = 16_000
[dns.rules]
"corp.example" = "block"
"""
    )
    assert redact(text).hidden == frozenset()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f'password = "{CANARY}"', f"password = {HIDDEN}"),
        (f'"address" = "{CANARY}"', f'"address" = {HIDDEN}'),
        (f'address = "socks5://ana:{CANARY}@proxy:1080"', f"address = {HIDDEN}"),
        (f"office = {{ password = '{CANARY}' }}", f"office = {HIDDEN}"),
        (f'address = "proxy" {CANARY}', f"address = {HIDDEN}"),
        (f'server.office.password = "{CANARY}"', HIDDEN),
        (f"{CANARY}", HIDDEN),
        (f'password_from = "{CANARY}"', f"password_from = {HIDDEN}"),
        (f'password_from = ["{CANARY}"]', f"password_from = {HIDDEN}"),
        (f'password_from = "command:pass {CANARY}"', f'password_from = "command:pass {HIDDEN}"'),
        ('password_from = "command:pass"', 'password_from = "command:pass"'),
        ('password_from = "keyring"', 'password_from = "keyring"'),
        ('password_from = "file:/home/ana/my password"', 'password_from = "file:/home/ana/my password"'),
    ],
)
def test_what_may_hold_a_secret_is_hidden(line: str, shown: str) -> None:
    """And it is told what that was, for it may be quoted elsewhere."""
    text, hidden = redact(f"[server.office]\n{line}\n")
    assert text == f"[server.office]\n{shown}\n"
    assert (CANARY in line) == any(CANARY in part for part in hidden)


def test_an_error_may_quote_only_the_beginning() -> None:
    """Which is hidden too, as is each word of what is hidden as a whole."""
    long = "x" * 200
    hidden = redact(f'password = "{CANARY} {long}"').hidden
    assert {CANARY, long, long[:80], f"{CANARY} {long}"} <= hidden


def test_a_list_over_several_lines_is_one_value() -> None:
    """A list that is known is kept, and of one that does not end nothing is shown."""
    kept = 'upstreams = [\n  "udp://9.9.9.9",\n  "tcp://8.8.8.8",\n]\nkeep = true'
    assert redact(kept).text == 'upstreams = [ "udp://9.9.9.9", "tcp://8.8.8.8", ]\nkeep = true\n'
    text, hidden = redact(f'upstreams = [\n"{CANARY}",\n')
    assert text == f"upstreams = {HIDDEN}\n"
    assert CANARY in hidden
