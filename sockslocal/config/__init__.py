"""The configuration file: its model, how it is read, and how it is edited for the user."""
