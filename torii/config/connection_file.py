"""The `connections` of `server.yml`: the keys of each kind, and how the kind of one is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from torii.config.addresses import SERVER_SCHEMA, SSH_PORT, Address, GerritUrl, Host, expandable, host_and_port, server
from torii.config.document import Document, native
from torii.config.fields import ANY_TEXT, PRESENT, WHOLE, From, Glob, OneOrMany, Schema, duration, matching, text, wrong
from torii.config.located import Section, sound
from torii.config.secrets import REFERENCE
from torii.config.settings import EventsBy, GerritConnection, GitConnection, Transport
from torii.config.wording import did_you_mean, nearest

_GIT, _GERRIT = GitConnection(""), GerritConnection("", "")


def _secret(value: object) -> str:
    found = text(value)
    if not re.fullmatch(REFERENCE, found):
        raise wrong("a secret must not stand here itself (it is not shown)", "write env:NAME or file:PATH")
    return found


def _file(value: object) -> str:
    found = text(value)
    if not found or len(found) > 1024 or re.search(r"[\x00-\x1f]", found):
        raise wrong("must be a path of 1 to 1024 characters, without control characters")
    return expandable(found)


SecretReference = Annotated[str, From(_secret, {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"})]
FilePath = Annotated[str, From(_file, {"type": ANY_TEXT, "minLength": 1, "maxLength": 1024})]
UserName = Annotated[str, matching(r"[^\s:@/\x00-\x1f-][^\s:/\x00-\x1f]{0,127}", "legal user name")]

KINDS = ("git", "gerrit")


def _kind(value: object) -> str:
    found = text(value)
    if found not in KINDS:
        raise wrong(f"must be one of: {', '.join(KINDS)}", did_you_mean(found, KINDS))
    return found


_KIND = From(_kind, lambda schema: schema)


class GitEntry(Section):
    """A git server that is polled. Over SSH it takes `key` and `known-hosts`, over HTTP `user` and `password`."""

    type: Annotated[Literal["git"], _KIND] = Field(default="git", description="What kind of server it is.")
    url: Annotated[Address | None, PRESENT] = Field(
        default=None, description="What a project's path is added to: a folder, ssh://git@host/group, git@host: or https://host/group."
    )
    poll: Annotated[float, duration(0.05, 86400)] = Field(
        default=_GIT.poll, description="How often it is asked what is new, such as 10s. `torii notify` asks at once."
    )
    timeout: Annotated[float, duration(1, 3600)] = Field(default=_GIT.timeout, description="How long one git command may take.")
    staging: Annotated[Address | None, PRESENT] = Field(
        default=None, description="Another server, as `url`, that staging refs are pushed to. Default: the same."
    )
    user: Annotated[UserName | None, PRESENT] = Field(default=None, description="The user, for HTTP.")
    password: Annotated[SecretReference | None, PRESENT] = Field(default=None, description="env:NAME or file:PATH, for HTTP.")
    key: Annotated[FilePath | None, PRESENT] = Field(default=None, description="The private key file, for SSH.")
    known_hosts: Annotated[FilePath | None, PRESENT] = Field(default=None, description="The file of known host keys, for SSH.")


class SshEntry(Section):
    """Where the Gerrit listens for SSH."""

    host: Annotated[Host | None, PRESENT] = Field(default=None, description="Default: the host of url.")
    port: Annotated[int, Field(ge=1, le=65535), WHOLE] = Field(default=SSH_PORT, description="The port.")


def _ssh(value: object) -> object:
    if not isinstance(value, str):
        return value
    if "@" in value:
        raise wrong("a user name cannot stand in this address", "give user as a key of the connection")
    host, port = host_and_port(server(value, f"review.example.com:{SSH_PORT}"), SSH_PORT)
    return {"host": host, "port": port}


SshItem = Annotated[SshEntry, From(_ssh, lambda schema: {"anyOf": [SERVER_SCHEMA, schema]})]


class GerritEntry(Section):
    """A Gerrit. Torii votes, submits and asks over HTTP as `user` with `password`; it hears of events over SSH, by webhooks, or both."""

    type: Annotated[Literal["gerrit"], _KIND] = Field(description="What kind of server it is.")
    url: GerritUrl = Field(description="The address of its pages, such as https://review.example.com.")
    user: UserName = Field(default=_GERRIT.user, description="Torii's account there, for HTTP and SSH.")
    password: SecretReference = Field(description="env:NAME or file:PATH: the account's HTTP password, or a token.")
    events: EventsBy = Field(
        default=_GERRIT.events,
        description="How it tells what happens: by SSH's stream-events, by webhooks, by both; or catch-up, where it is only asked.",
    )
    ssh: SshItem = Field(default=SshEntry(), description="Where it listens for SSH: host and port, or host:port.")
    key: Annotated[FilePath | None, PRESENT] = Field(
        default=None, description="The private key file, for SSH. Default: the agent's keys and the user's own."
    )
    known_hosts: Annotated[FilePath | None, PRESENT] = Field(
        default=None, description="The file of known host keys, for SSH. Default: the user's own."
    )
    git: Transport = Field(default=_GERRIT.git, description="How git reaches it: http or ssh.")
    staging: Annotated[Address | None, PRESENT] = Field(
        default=None, description="A git server, as the url of a git connection, that staging refs are pushed to. Default: the same Gerrit."
    )
    webhook_secret: Annotated[SecretReference | None, PRESENT] = Field(
        default=None, description="env:NAME or file:PATH: what a webhook must know to be listened to."
    )
    catch_up: Annotated[float, duration(1, 86400)] = Field(
        default=_GERRIT.catch_up, description="How often it is asked what happened, whatever it tells by itself."
    )
    first_look: Annotated[float, duration(0, 90 * 86400)] = Field(
        default=_GERRIT.first_look, description="How far back the very first start looks for changes to test."
    )
    timeout: Annotated[float, duration(1, 600)] = Field(default=_GERRIT.timeout, description="How long one answer may take.")
    ignore: OneOrMany[Glob] = Field(default=(), description="Users (globs of user names or e-mail addresses) whose acts bring nothing in.")
    ca: Annotated[FilePath | None, PRESENT] = Field(default=None, description="A file of certificates to trust. Default: the system's.")


ConnectionEntry = GitEntry | GerritEntry


def kind_of(value: object) -> type[GitEntry | GerritEntry]:
    """Return the model of the connection that `value`, as the file has it, is or perhaps was meant to be."""
    named = value.get("type") if isinstance(value, dict) else None
    return GerritEntry if isinstance(named, str) and nearest(named, KINDS) == "gerrit" else GitEntry


def connection_at(document: Document, name: str) -> ConnectionEntry | None:
    """Return the connection called `name`, or None where it is not there or wrong in itself."""
    here = ("connections", name)
    return sound(document, here, kind_of(native(document.find(here)[2])))


class _ByKind:
    """An annotation: the value is held against the model of its own kind only, so that nobody is told of the other one's keys."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def convert(value: object, _: core_schema.ValidatorFunctionWrapHandler, info: core_schema.ValidationInfo) -> Section:
            return kind_of(value).model_validate(value, context=info.context)

        return core_schema.with_info_wrap_validator_function(convert, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {"oneOf": handler(core)["anyOf"]}


ConnectionItem = Annotated[GitEntry | GerritEntry, _ByKind()]
ConnectionLabel = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "legal connection name: letters, digits, _ and -")]


def contradictions_of(entry: GitEntry | GerritEntry) -> Iterator[tuple[str, str, str]]:
    """Yield what cannot be true of one connection at once: the key, what is wrong, and what to do."""
    if not isinstance(entry, GerritEntry):
        return
    if entry.webhook_secret is None and entry.events in (EventsBy.WEBHOOKS, EventsBy.BOTH):
        yield "events", "a webhook is listened to only if it knows a secret, and none is given", "add webhook-secret: env:NAME or file:PATH"
    if entry.webhook_secret is not None and "events" not in entry.model_fields_set:
        yield (
            "webhook-secret",
            "is for webhooks, and without events only the stream is heard",
            "add events: both, or events: webhooks",
        )
    if entry.ca is not None and not entry.url.startswith("https:"):
        yield "ca", "is for https, and url is not", "write https in url, or remove ca"
