"""Runs the job XML that Jenkins would run, each build in a fresh workspace and a sandbox, for whoever asks over Gearman with proof."""

from torii.worker.configured import open_worker
from torii.worker.worker import BuildWorker

__all__ = ["BuildWorker", "open_worker"]
