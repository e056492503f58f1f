"""Gives Torii on a Gerrit what it needs, as an administrator and by REST: only what is lacking, so that doing it again does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from torii.errors import UserError
from torii.sources.gerrit.access import CAPABILITIES, COPIED, Grant, LabelNeed, Needs
from torii.sources.gerrit.errors import GerritRefusedError
from torii.sources.gerrit.rest import GerritRest, quote

ALL_PROJECTS = "All-Projects"
_ABSENT = 404
_BLOCKING = ("MaxWithBlock", "MaxNoBlock", "AnyWithBlock")
"""The functions of labels that hold a submit back without a submit requirement."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is lacking, in `words`; `do` makes it. Where `do` is None a rule stands against it, and a human is to decide."""

    words: str
    do: Callable[[], None] | None = field(repr=False, compare=False)


class AccessSetup:
    """Sees to it that `user` has `needs` through the group `group`, by rules of the project `on`, of which others inherit.

    `rest` speaks as an administrator. Every method raises GerritError.
    """

    def __init__(self, rest: GerritRest, needs: Needs, user: str, group: str, on: str = ALL_PROJECTS) -> None:
        self._rest = rest
        self._needs = needs
        self._user = user
        self._group = group
        self._on = on

    def lacking(self) -> list[Step]:
        """Return what is to be done, in the order in which to do it; nothing where all is there. Raises UserError without the account."""
        return [*self._group_steps(), *self._label_steps(), *self._access_steps()]

    def _group_steps(self) -> Iterator[Step]:
        try:
            self._rest.get(f"accounts/{quote(self._user)}")
        except GerritRefusedError as error:
            if error.status != _ABSENT:
                raise
            advice = f"gerrit create-account --full-name Torii --email ADDRESS --ssh-key - --http-password PASSWORD {self._user}"
            raise UserError(f"Gerrit has no account {self._user!r}; make it first: ssh -p 29418 ADMIN@HOST {advice}") from None
        where = f"groups/{quote(self._group)}"
        members = self._found(f"{where}/members/")
        if members is None:
            yield Step(f"the group {self._group!r}", lambda: self._put(where, {}))
        if not any(member.get("username") == self._user for member in members or ()):
            yield Step(f"{self._user!r} in the group {self._group!r}", lambda: self._put(f"{where}/members/{quote(self._user)}", {}))

    def _label_steps(self) -> Iterator[Step]:
        if not self._needs.labels:
            return
        there = {label["name"]: label for label in self._rest.get(f"projects/{quote(self._on)}/labels/", [("inherited", "true")])}
        requirements = self._rest.get(f"projects/{quote(self._on)}/submit_requirements/", [("inherited", "true")])
        for need in self._needs.labels:
            label = there.get(need.name)
            yield from self._label_step(need, label)
            blocks = label is not None and label.get("function") in _BLOCKING
            if need.required and not blocks and not any(_speaks_of(requirement, need.name) for requirement in requirements):
                yield Step(f"the submit requirement {need.name}: {need.expression}", self._requirement_maker(need))

    def _label_step(self, need: LabelNeed, label: Mapping[str, Any] | None) -> Iterator[Step]:
        wanted = need.value_names()
        if label is None:
            body: dict[str, Any] = {"values": wanted, "function": "NoBlock", "default_value": 0, "copy_condition": COPIED}
            yield Step(f"the label {need.name} with {_listed(wanted)}", self._label_maker(self._on, need.name, body))
            return
        known = {int(value) for value in label["values"]}
        if absent := {value: words for value, words in wanted.items() if int(value) not in known}:
            body = {"values": {**label["values"], **absent}}
            made = self._label_maker(label.get("project_name", self._on), need.name, body)
            yield Step(f"the values {_listed(absent)} of the label {need.name}", made)

    def _access_steps(self) -> Iterator[Step]:
        group = self._found(f"groups/{quote(self._group)}")
        uuid = unquote(group["id"]) if group is not None else None
        local = self._rest.get(f"projects/{quote(self._on)}/access")["local"]
        for grant in self._needs.grants:
            # Only All-Projects has global capabilities.
            rules = self._capabilities(local) if grant.ref == CAPABILITIES else local
            rule = rules.get(grant.ref, {}).get("permissions", {}).get(grant.permission, {}).get("rules", {}).get(uuid)
            if rule is None:
                yield Step(f"{grant.words} for {self._group!r}", self._granter(grant, replacing=False))
            elif rule.get("action", "ALLOW") not in ("ALLOW", "BATCH", "INTERACTIVE"):
                yield Step(f"{grant.words} for {self._group!r}: a rule says {rule['action']}; take that away yourself", None)
            elif not grant.met_by(rule):
                yield Step(f"{grant.words} for {self._group!r}, who may less", self._granter(grant, replacing=True))

    def _capabilities(self, local: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._on == ALL_PROJECTS:
            return local
        found: Mapping[str, Any] = self._rest.get(f"projects/{ALL_PROJECTS}/access")["local"]
        return found

    def _granter(self, grant: Grant, *, replacing: bool) -> Callable[[], None]:
        def do() -> None:
            # The group may have come into being only a step ago.
            uuid = unquote(self._rest.get(f"groups/{quote(self._group)}")["id"])
            about = {"label": grant.label} if grant.label else {}
            body: dict[str, Any] = {"message": f"Let {self._group} have: {grant.words}"}
            if replacing:
                body["remove"] = {grant.ref: {"permissions": {grant.permission: {**about, "rules": {uuid: {"action": "ALLOW"}}}}}}
            body["add"] = {grant.ref: {"permissions": {grant.permission: {**about, "rules": {uuid: grant.rule()}}}}}
            on = ALL_PROJECTS if grant.ref == CAPABILITIES else self._on
            self._rest.post(f"projects/{quote(on)}/access", body)

        return do

    def _label_maker(self, project: str, name: str, body: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: self._put(f"projects/{quote(project)}/labels/{quote(name)}", {**body, "commit_message": f"Set up the label {name}"})

    def _requirement_maker(self, need: LabelNeed) -> Callable[[], None]:
        body = {
            "name": need.name,
            "description": "Torii has tested the change",
            "submittability_expression": need.expression,
            "allow_override_in_child_projects": True,
        }
        return lambda: self._put(f"projects/{quote(self._on)}/submit_requirements/{quote(need.name)}", body)

    def _put(self, path: str, body: Mapping[str, Any]) -> None:
        self._rest.put(path, dict(body))

    def _found(self, path: str) -> Any:
        """Return what is at `path`, None where there is nothing."""
        try:
            return self._rest.get(path)
        except GerritRefusedError as error:
            if error.status != _ABSENT:
                raise
            return None


def _speaks_of(requirement: Mapping[str, Any], label: str) -> bool:
    return any(f"label:{label}" in requirement.get(key, "") for key in ("submittability_expression", "override_expression"))


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{value.strip()} ({words})" for value, words in values.items())
