from sockslocal.system_dns.listeners import owners

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1517 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 29103 1 0
   1: 00000000:1517 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1001        0 29104 1 0
   2: 0100007F:1517 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1002        0 29105 1 0
   3: 0200007F:1517 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1003        0 29106 1 0
   4: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 29107 1 0
   5: cut off
"""


def test_who_listens() -> None:
    """On that port, on loopback or on every address; connections are none."""
    assert owners(TABLE, 5399) == {1000, 1001}
    assert owners(TABLE, 53) == {0}
    assert owners(TABLE, 54) == set()
    assert owners("", 53) == set()
