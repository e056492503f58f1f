"""Torii gates changes for Gerrit, Jenkins and plain git. The packages, in the order in which data passes:

`sources` hear of a change and read it anew  ->  `gate` decides, purely, what should happen  ->  `merger` makes the
speculative merge and pushes it as a staging ref  ->  `jobs` turns the merged `torii.yml` into job XML  ->  `dispatch`
starts the builds over Gearman  ->  `worker` runs them (or Jenkins does)  ->  `results` gathers what they left and words the
message  ->  `sources` report it and merge what passed.

`model` is the vocabulary they share, `config` reads `torii.yml` and `server.yml`, `store` keeps the journal, `runtime` owns the
one thread that drives the gate, `web` shows it, `cli` starts it, `demo` shows it off, and `testing` lets users test pipelines as we do.
"""

__version__ = "0.1.0"
