"""The running daemon: vats, listeners, named objects, logs, and an orderly end."""
