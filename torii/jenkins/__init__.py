"""Jenkins as Torii uses it: its REST API with time limits, and what it says as frozen values. Shared by jobs, dispatch and results."""

from torii.jenkins.controller import Controller
from torii.jenkins.errors import (
    JenkinsElsewhereError,
    JenkinsError,
    JenkinsExistsError,
    JenkinsInvalidError,
    JenkinsMissingError,
    JenkinsRefusedError,
    JenkinsUnavailableError,
)
from torii.jenkins.values import About, Build, Job, LogPiece, Node, Plugin, Queued

__all__ = [
    "About",
    "Build",
    "Controller",
    "JenkinsElsewhereError",
    "JenkinsError",
    "JenkinsExistsError",
    "JenkinsInvalidError",
    "JenkinsMissingError",
    "JenkinsRefusedError",
    "JenkinsUnavailableError",
    "Job",
    "LogPiece",
    "Node",
    "Plugin",
    "Queued",
]
