"""SOCKS5 (RFC 1928, RFC 1929): bytes in, bytes out; no socket, no clock.

    client        what a client says to a server and learns from it
    server        what a server says to a client and learns from it
    datagram      the header in front of a UDP payload
    udp_over_tcp  datagrams as frames on one connection
    messages      numbers and addresses, shared by the four
    errors        what can go wrong, as a tree

Each object owns its framing: feed it bytes as they come, in any pieces; nobody else counts them.
"""
