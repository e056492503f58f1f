"""What a process says of itself, put together from its parts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from torii.config.settings import ServerConfig
from torii.runtime.ports import Health
from torii.runtime.system import System


class Source:
    def __init__(self, words: str) -> None:
        self.words = words

    def health(self) -> str:
        return self.words


def system(alive: bool = True, problem: str = "") -> System:
    made = System(ServerConfig(Path("/nowhere")))
    made.scheduler = SimpleNamespace(alive=alive, problem=problem)
    return made


def test_a_process_without_a_scheduler_is_well():
    assert System(ServerConfig(Path("/nowhere"))).health() == Health()


def test_a_store_that_refuses_keeps_torii_from_working():
    assert system(problem="nothing can be recorded: the disk is full").health().problem == "nothing can be recorded: the disk is full"


def test_a_dead_gate_keeps_torii_from_working():
    assert "has died" in system(alive=False).health().problem


def test_each_source_that_can_speaks_for_itself():
    made = system()
    made.sources = {"review": Source("the stream is down"), "local": object(), "other": Source("ok")}
    assert made.health() == Health("", (("review", "the stream is down"), ("other", "ok")))
    assert made.health().degraded == (("review", "the stream is down"),)
