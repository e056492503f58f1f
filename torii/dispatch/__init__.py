"""Starts and stops builds: over Gearman, which Torii's own workers and Jenkins' Gearman plug-in speak, or by Jenkins' REST alone."""

from torii.dispatch.gearman import GearmanDispatcher

__all__ = ["GearmanDispatcher"]
