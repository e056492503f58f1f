"""The nodes, of a check-up: is one there for each label that a `torii.yml` wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torii.jenkins.controller import Controller
from torii.jenkins.surroundings import Surroundings
from torii.jenkins.values import Node
from torii.model.finding import Finding, Verdict

_SHOWN = 5


def node_findings(controller: Controller) -> Iterator[Finding]:
    """Whether any node can build, and which are away."""
    nodes = [node for node in controller.nodes() if node.executors]
    online = [node for node in nodes if not node.offline]
    if not online:
        advice = "bring an agent online; builds wait for one, unless a cloud makes it"
        yield Finding("nodes", Verdict.FAIL, f"none of the {len(nodes)} nodes with executors is online", advice)
    else:
        executors = sum(node.executors for node in online)
        yield Finding("nodes", Verdict.PASS, f"{len(online)} online, with {executors} executors: {_listed([node.name for node in online])}")
    for node in nodes:
        if node.offline:
            why = f": {node.why_offline}" if node.why_offline else ""
            yield Finding("nodes", Verdict.WARN, f"{node.name} is offline{why}", "bring it back, or remove it if it is not needed")


def label_findings(controller: Controller, surroundings: Surroundings) -> Iterator[Finding]:
    """Whether a node has what each job wants."""
    nodes = [node for node in controller.nodes() if node.executors]
    wanted = surroundings.wanted()
    for why in wanted.unread:
        yield Finding("labels", Verdict.UNKNOWN, f"what labels it wants does not show: {why}", "mend that, then check again")
    for label, jobs in sorted(wanted.labels.items()):
        found = _label(label, jobs, nodes)
        if found.verdict is Verdict.FAIL and label and controller.has_cloud(label):
            found = Finding(found.topic, Verdict.PASS, f"a cloud makes nodes with it; wanted by {_listed(jobs)}")
        yield found


def _label(label: str, jobs: Sequence[str], nodes: Sequence[Node]) -> Finding:
    topic = f"label {label}" if label else "jobs without a label"
    wanted = f"wanted by {_listed(jobs)}"
    having = [node for node in nodes if fits(node, label)]
    if not having:
        words = f"no node has it; {wanted}" if label else f"every node takes only jobs that name it; {wanted}"
        advice = "give a node that label (Manage Jenkins, Nodes), or name another one in the torii.yml: till then these builds wait"
        return Finding(topic, Verdict.FAIL, words, advice)
    online = [node.name for node in having if not node.offline]
    if not online:
        words = f"only nodes that are offline have it: {_listed([node.name for node in having])}; {wanted}"
        return Finding(topic, Verdict.WARN, words, "bring one of them back; till then these builds wait")
    return Finding(topic, Verdict.PASS, f"{_listed(online)} {'has' if len(online) == 1 else 'have'} it; {wanted}")


def fits(node: Node, label: str) -> bool:
    """Whether `node` takes jobs that want `label`, or where it is empty those that want none."""
    return label in (*node.labels, node.name) if label else not node.exclusive


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
