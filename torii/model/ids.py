"""The names things go by. All are strings that may be written into logs, rows and URLs; none is parsed to learn something."""

from __future__ import annotations

from typing import NewType

ProjectName = NewType("ProjectName", str)
"""A project as `server.yml` names it, such as `tools/app`."""

ChangeId = NewType("ChangeId", str)
"""One change over all its patch sets, such as `app:main/fix-login` on plain git. Unique over all connections."""

Sha = NewType("Sha", str)
"""A full git object id, lower-case hexadecimal."""

PipelineName = NewType("PipelineName", str)

QueueName = NewType("QueueName", str)
"""A change queue inside a pipeline."""

ItemId = NewType("ItemId", str)
"""One stay of a change in a pipeline: `<instance>-<number>`, such as `k3f9-17`."""

BuildSetId = NewType("BuildSetId", str)
"""One speculative state of an item: `<item>.<number>`, such as `k3f9-17.2`. Legal in a git ref."""

BuildId = NewType("BuildId", str)
"""One run of one job: a UUID in its canonical form, the same however often the gate asks for that run."""
