"""Passwords, from where the user keeps them.

    read, store, delete ──► a child process: child.py ──► keyrings.py · files.py · commands.py

Whatever holds a password may block for ever (a locked keyring, a command that waits for a token, a file on a
dead mount), and the keyring's libraries cost 12 to 19 MB. So a short-lived child asks, under a deadline.
Request and answer go through its stdin and stdout, never through its arguments or environment. `prompt` needs
no child: the person is asked before the daemon starts, and the password is only ever in memory.

Any process of the same user can ask an unlocked keyring for what is in it; that is so for every program.
"""

from sockslocal.credentials.asking import ask, from_stream
from sockslocal.credentials.hardening import harden
from sockslocal.credentials.limits import MAX_OCTETS, check
from sockslocal.credentials.reader import delete, read, store

__all__ = ["MAX_OCTETS", "ask", "check", "delete", "from_stream", "harden", "read", "store"]
