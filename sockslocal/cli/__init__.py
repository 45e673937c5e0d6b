"""The command line: it knows the daemon only by its control connection, and imports little."""
