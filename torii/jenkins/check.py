"""Is everything there that Torii needs of a Jenkins? Asked as Torii itself, and where only trying shows it, tried and cleaned up.

What is tried: a job that no node can run is made, changed, put into the queue, taken out and deleted. What others know (what a `torii.yml`
wants, who is at the Gearman server) comes in with `Surroundings`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from torii.config.settings import DispatchBy, JenkinsSettings
from torii.errors import OperatorError
from torii.jenkins.check_gearman import anonymous_findings, gearman_findings
from torii.jenkins.check_nodes import label_findings, node_findings
from torii.jenkins.check_plugins import plugin_findings
from torii.jenkins.check_rights import right_findings
from torii.jenkins.check_server import account_findings, link_findings, reachable, server_findings, token_findings
from torii.jenkins.controller import Controller
from torii.jenkins.surroundings import Surroundings
from torii.model.finding import Finding, Verdict


def check(settings: JenkinsSettings, surroundings: Surroundings, *, try_it: bool = True) -> Iterator[Finding]:
    """Yield what is found of the Jenkins that `settings` describe, as it is found.

    Without `try_it` nothing is made, and what only that shows is left unknown. Nothing is raised for what Jenkins does or does not do.
    """
    controller = Controller(settings, patience=0.3)
    nobody = Controller(dataclasses.replace(settings, token=None), patience=0.3)
    try:
        yield from _findings(controller, nobody, surroundings, try_it)
    finally:
        controller.close()
        nobody.close()


def _findings(controller: Controller, nobody: Controller, surroundings: Surroundings, try_it: bool) -> Iterator[Finding]:
    answer = reachable(controller)
    yield answer
    if answer.verdict is Verdict.FAIL:
        return
    account = list(account_findings(controller))
    yield from account
    if any(finding.verdict is Verdict.FAIL for finding in account):
        return
    by_gearman = controller.settings.dispatch is DispatchBy.GEARMAN
    # Before anything is tried: that saves a job, which has agents look at their jobs again, and what was wrong would show no more.
    offered = list(_caught("gearman", gearman_findings(controller, surroundings))) if by_gearman else []
    sections: list[tuple[str, Iterable[Finding]]] = [
        ("jenkins", server_findings(controller)),
        ("links", link_findings(controller, surroundings.pages)),
        ("permissions", right_findings(controller, surroundings, try_it)),
        ("token", token_findings(controller)),
        ("plug-ins", plugin_findings(controller, surroundings)),
        ("nodes", node_findings(controller)),
        ("labels", label_findings(controller, surroundings)),
    ]
    if by_gearman:
        sections.append(("gearman", offered))
        sections.append(("anonymous Job/Read", anonymous_findings(controller, nobody, surroundings)))
    for topic, findings in sections:
        yield from _caught(topic, findings)


def _caught(topic: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except OperatorError as error:
        yield Finding(topic, Verdict.FAIL, str(error))
