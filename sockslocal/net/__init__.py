"""The data plane: sockets, how they are waited for, and the ways through the servers.

A connection: Route (route.py), the servers that may carry it; streams.py makes asyncio's streams of one
  → Crossing (route.py), which dials one after the other
  → Dial (dialer.py), through one Server (server.py): password, greeting, login, request, reply; as much of
  that leaves at once as the server is known to bear (pipelining.py finds it out)
  → Connecting (connecting.py), the race of TCP attempts to the server's addresses (server_addresses.py)
  → Securing (securing.py), the handshake of TLS (tls.py, tls_problems.py) where the server speaks it
  then Relay (relay.py), the local and the remote socket joined
  → Pump (pump.py), the octets of one direction; inside TLS both, encrypted (tls_pump.py).

A datagram: UdpService (udp_service.py), the UDP of one server
  → Flow (udp_flow.py), from one local program to one remote
  → Broker (broker.py), which has an Association (association.py) carry it, shared with flows whose replies
  cannot be mistaken for its own (slots.py, udp_delivery.py), on the rung that works (rungs.py, udp_health.py)
  → its transport, once an Opening (udp_opening.py) has found it: a relay (udp_transport.py: a
  ControlConnection, control_connection.py, and a socket, udp_relay_socket.py, to where the relay is,
  udp_relay_address.py) or a stream (udp_stream.py).
  All of one server share its Terms (udp_terms.py). Liveness (liveness.py) tells by a question (udp_probe.py)
  whether anything comes back, udp_empty.py whether an empty datagram would kill the relay. Datagrams are read
  by a DatagramReader (datagram_reader.py) on every socket where they come.

An examination (examination.py): what a server does, found out on connections of its own (probing.py)
  → once one has got in (entry.py), handshakes (probe_handshakes.py) and datagrams (probe_datagrams.py), which
  are questions (probe_questions.py), up to the largest (datagram_size.py), by a relay or a stream
  (probe_channels.py)
  → the Profile (profile.py), kept in a ProfileStore (profiles.py), by which Server and UdpService go.

Below them all is the Engine (engine.py), what the sockets of the process share: the Poller (poller.py;
epoll.py, kqueue.py), Deadlines (deadlines.py), the Batch of datagrams (datagrams.py; mmsg.py), which are
answered from where they came to (local_address.py), the PipePool (pipes.py), the DescriptorBudget
(descriptors.py), the Watchdog (watchdog.py) and the Ears (ears.py).

Locally: binding.py makes listening sockets, or takes those that a service manager has made (passed.py),
listener.py accepts, owners.py tells whose a connection is, as the kernel says (sock_diag.py);
local_addresses.py are those by which the machine speaks to others.
Of a server: way.py is how to get there, login.py its credentials.
Small tools: abort.py, backoff.py, datagram_queue.py, flows.py (the table of flows), keepalive.py, sockets.py.
"""
