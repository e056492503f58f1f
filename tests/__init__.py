"""Torii's tests; a package only so that `tests.support` can be imported from every folder of it."""
