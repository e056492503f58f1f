"""A process that follows one build to its end, for a test to kill; its arguments are those of `main`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.support.results_lab import PACE
from torii.config.settings import JenkinsSettings, Secret
from torii.jenkins import Controller
from torii.model.ids import BuildId
from torii.results.gatherer import Gatherer
from torii.results.run import Run
from torii.store.blobs import FolderBlobs


def main(folder: Path, url: str, user: str, build: str, job: str, number: str) -> None:
    controller = Controller(JenkinsSettings("ci", url, user, Secret(f"file:{folder / 'token'}"), timeout=5.0), patience=0.01)
    gatherer = Gatherer({"ci": controller}, FolderBlobs(folder / "blobs"), pace=PACE)
    gatherer.start()
    run = Run(BuildId(build), "ci", job, int(number), f"{url}/job/{job}/{number}/")
    over = threading.Event()
    gatherer.follow(run)
    print("following", flush=True)
    gatherer.finish(run, None, lambda _: over.set(), lambda _: None)
    over.wait()
    print("over", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
