"""Measures Torii against a floor taken in the same run: `python -m benchmarks [NAME ...]`. Each module has `run() -> Measurement`."""

from benchmarks.measurement import Measurement

__all__ = ["Measurement"]
