"""What Torii tests itself with, shipped so that users can test their own pipelines with it.

`forge` is a git server in memory, `lab` the gate between fakes that answer when told, `story` the language in which a gating story
takes ten lines, `invariants` what must hold at every step, and `simulator` a random walk that checks them.
"""
