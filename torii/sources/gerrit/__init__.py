"""A Gerrit as a source of changes: heard by its stream or webhooks, read and written by REST."""

from torii.sources.gerrit.source import GerritSource

__all__ = ["GerritSource"]
