"""What `setup` is made of.

questions.py           asks, until the answer will do
servers.py · forwards.py · names.py    what is asked about each part, and tried
trial.py               a daemon that only tries
plan.py                what came of it; save.py makes it so, all at once
"""
