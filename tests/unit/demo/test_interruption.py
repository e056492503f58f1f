"""Whatever fails after somebody has asked for the end is an interruption; before that it is what it is."""

from __future__ import annotations

import threading

import pytest
import requests

from torii.demo.story import InterruptedStoryError, WaitedInVainError, interruptible
from torii.errors import OperatorError, ToriiError
from torii.git import GitError
from torii.testing.gerrit import LabError

ERRORS = (
    *(GitError("git was killed"), LabError("Gerrit ended"), OperatorError("refused"), WaitedInVainError("in vain"), ToriiError("died")),
    *(requests.ConnectionError("no answer"), FileNotFoundError(2, "No such file", "torii.db"), ValueError("not enough values to unpack")),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_fails_after_the_wish_to_end_is_an_interruption(error):
    stop = threading.Event()
    with pytest.raises(InterruptedStoryError) as raised, interruptible(stop):
        stop.set()
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_fails_by_itself_is_told(error):
    with pytest.raises(type(error)) as raised, interruptible(threading.Event()):
        raise error
    assert raised.value is error


def test_what_ends_well_in_spite_of_it_has_ended_well():
    stop = threading.Event()
    with interruptible(stop):
        stop.set()
