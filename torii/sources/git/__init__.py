"""Any git repository as a source of changes: polled, reported to by notes, merged into by fast-forward pushes."""

from torii.sources.git.source import GitSource

__all__ = ["GitSource"]
