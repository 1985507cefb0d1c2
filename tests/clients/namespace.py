"""A network of its own for a test run: nothing but loopback, so that no client calls home.

Owns the step into a new network namespace and back. It moves the calling thread only, and all
that starts; fixtures that run elsewhere do not notice. Source: namespaces(7), netdevice(7).
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP_AND_RUNNING = 0x1 | 0x40


class NamespaceRefused(Exception):
    """This machine, or this account on it, gives no network namespace."""


@contextmanager
def loopback_only() -> Iterator[None]:
    """Inside, the thread and its children reach nothing but loopback.

    Raises `NamespaceRefused` where the kernel will not have it; root may, usually.
    """
    own = Path("/proc/thread-self/ns/net")
    if not own.exists():
        raise NamespaceRefused("there are no network namespaces here")
    home = os.open(own, os.O_RDONLY)
    try:
        _call("unshare", _CLONE_NEWNET)
        try:
            _raise_loopback()
            yield
        finally:
            _call("setns", home, _CLONE_NEWNET)
    finally:
        os.close(home)


def _call(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        raise NamespaceRefused(f"{name}: {os.strerror(ctypes.get_errno())}")


def _raise_loopback() -> None:
    request = struct.pack("16sh22x", b"lo", _IFF_UP_AND_RUNNING)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)
