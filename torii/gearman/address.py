"""Where the Gearman servers are: what `server.yml` says, and for an embedded one on any free port what it has written down."""

from __future__ import annotations

from pathlib import Path

from torii.config.settings import GearmanSettings
from torii.errors import OperatorError
from torii.gearman.admin import Address

_FILE = "gearman.address"
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def announce(state: Path, address: Address) -> None:
    """Write down where the embedded server of the Torii with this state folder listens."""
    new = state / f"{_FILE}.new"
    new.write_text(f"{address[0]} {address[1]}\n", encoding="utf-8")
    new.replace(state / _FILE)


def servers_of(settings: GearmanSettings, state: Path) -> tuple[Address, ...]:
    """Return the (host, port) of each server to connect to.

    Raises `OperatorError` for an embedded server on any free port that has never run.
    """
    if settings.servers:
        return settings.servers
    if settings.port:
        return ((_ANY.get(settings.host, settings.host), settings.port),)
    try:
        host, port = (state / _FILE).read_text(encoding="utf-8").split()
        return ((_ANY.get(host, host), int(port)),)
    except (OSError, ValueError):
        raise OperatorError(
            f"gearman.port is 0 (any free one), and no Torii has run with the state folder {state} yet; start `torii up`, or set a port"
        ) from None
