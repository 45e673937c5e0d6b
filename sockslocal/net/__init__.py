"""The only code that touches the network: poller, dialer, relay, datagrams, associations."""
