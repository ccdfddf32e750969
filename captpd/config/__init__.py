"""Configuration: read, checked, shown; and where the daemon's state lives."""
