"""Packets that are dropped without a word, in a network namespace of the run's own.

Owns the rules; they go with the namespace. Source: nft(8).
"""

import shutil
import subprocess

_RULES = """
add table inet chaos
add set inet chaos ports { type inet_service; }
add chain inet chaos incoming { type filter hook input priority 0; }
add rule inet chaos incoming tcp dport @ports drop
add rule inet chaos incoming tcp sport @ports drop
"""


class Firewall:
    """Drops what goes to and from a port of the loopback."""

    def __init__(self) -> None:
        _nft(_RULES)

    def drop(self, port: int, dropping: bool) -> None:
        _nft(f"{'add' if dropping else 'delete'} element inet chaos ports {{ {port} }}\n")


def open_firewall() -> Firewall | None:
    """None where this machine has none to give."""
    if shutil.which("nft") is None:
        return None
    try:
        return Firewall()
    except subprocess.CalledProcessError:
        return None


def _nft(rules: str) -> None:
    subprocess.run(
        ["nft", "-f", "-"], input=rules.encode(), check=True, capture_output=True, timeout=10
    )
