"""Tells a service manager how the daemon is doing: the sd_notify protocol, one datagram at a time."""

from __future__ import annotations

import os
import socket

__all__ = ["notify"]


def notify(text: str) -> None:
    """Send ``text``, such as ``READY=1``, if the environment says where; a deaf manager is no error."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # A leading @ stands for the zero byte of Linux's abstract namespace (sd_notify(3)).
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(text.encode(), address)
    except OSError:
        pass
