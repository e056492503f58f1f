"""Where changes come from and reports go to: one package a kind of server, each behind the port `Source`."""

from torii.sources.registry import open_source

__all__ = ["open_source"]
