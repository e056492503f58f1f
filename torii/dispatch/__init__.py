"""Starts and stops builds. One backend so far: Gearman, which Torii's own workers and Jenkins' Gearman plug-in both speak."""

from torii.dispatch.gearman import GearmanDispatcher

__all__ = ["GearmanDispatcher"]
