"""A scripted worker as a process of its own, so that it can be killed: `python -m tests.support.gearman_worker_process HOST PORT NAME`."""

from __future__ import annotations

import sys
import threading

from tests.support.dispatch_lab import KEY
from tests.support.gearman_worker import ScriptedWorker


def main() -> None:
    host, port, name = sys.argv[1:4]
    ScriptedWorker([(host, int(port))], name, key=KEY)
    threading.Event().wait(120)


if __name__ == "__main__":
    main()
