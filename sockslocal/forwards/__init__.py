"""Local listeners whose traffic is carried to a target behind the server."""
