"""Having the operating system ask the resolver for all names, and having it as it was again.

helper.py: the small privileged program, with three fixed verbs
  → keeper.py: its process that stays, and restores when the resolver is gone
  → transaction.py: journal, change, check, roll back; and `restore`, which needs nothing but the journal
    → backend.py, what each way can do: resolved.py, network_manager.py, plain.py, macos.py, windows.py
      → changes.py: files as they were, and as they are to be
      → redirect.py: port 53, for those that know no other
Pure: journal.py, resolv_conf.py, drop_ins.py, listeners.py, questions.py.

Of all this the daemon uses only previous.py, who was asked for names before, and what state.py says of the
journal; the command line uses state.py.
Nothing here imports more than the standard library before it has to: it runs as root.
"""
