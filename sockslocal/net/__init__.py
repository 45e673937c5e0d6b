"""The data plane: sockets, how they are waited for, and the ways through the servers.

A connection: Route (route.py), the servers that may carry it
  → Crossing (route.py), which dials one after the other
  → Dial (dialer.py), through one Server (server.py): password, greeting, login, request, reply
  → Connecting (connecting.py), the race of TCP attempts to the server's addresses (server_addresses.py)
  then Relay (relay.py), the local and the remote socket joined
  → Pump (pump.py), the octets of one direction.

A datagram: Broker (broker.py), the flows through one server
  → Association (associations.py), made by a Dial: a control connection and a socket to the relay
  → Flow (associations.py), the one that travels on it.

Below them all is the Engine (engine.py), what the sockets of the process share: the Poller (poller.py;
epoll.py, kqueue.py), Deadlines (deadlines.py), the Batch of datagrams (datagrams.py; mmsg.py), the PipePool
(pipes.py), the DescriptorBudget (descriptors.py) and the Watchdog (watchdog.py).

Locally: binding.py makes listening sockets, listener.py accepts, owners.py tells whose a connection is.
Wherever datagrams come, datagram_reader.py reads them.
Of a server: way.py is how to get there, login.py its credentials, udp_relay_address.py where its datagrams
go.
Small tools: abort.py, backoff.py, flows.py (the table of flows), keepalive.py.
"""
