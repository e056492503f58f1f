"""The environments in which git runs: one for work on our own repositories, one for speaking to others.

Work on our own reads no configuration but what stands here, since two mergers must make the same commit of the same inputs. Speaking to
others does read the user's and the system's, where proxies and certificates are configured, with everything overruled that could ask a
question, run something, or change what a command does.
"""

from __future__ import annotations

from collections.abc import Iterable

from torii.git.credentials import Credentials

_COMMON = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",  # a program that answers every question with nothing
    "SSH_ASKPASS": "true",
    "GCM_INTERACTIVE": "never",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
}

_CONFIGURATION = (
    ("core.quotePath", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.attributesFile", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("submodule.recurse", "false"),
)

_REMOTE_CONFIGURATION = (
    ("fetch.recurseSubmodules", "false"),
    ("fetch.prune", "false"),
    ("fetch.pruneTags", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("fetch.unpackLimit", "100"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.pushOption", ""),
    ("credential.interactive", "false"),
    ("http.followRedirects", "initial"),
    ("protocol.version", "2"),
)


def configuration(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return `pairs` of git configuration as the variables that hand them to git (GIT_CONFIG_COUNT and so on)."""
    variables = {}
    count = 0
    for count, (name, value) in enumerate(pairs, 1):
        variables[f"GIT_CONFIG_KEY_{count - 1}"] = name
        variables[f"GIT_CONFIG_VALUE_{count - 1}"] = value
    return {**variables, "GIT_CONFIG_COUNT": str(count)}


def local(extra: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the environment for commands on our own repositories, with `extra` configuration."""
    return {**_COMMON, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", **configuration((*_CONFIGURATION, *extra))}


def remote(credentials: Credentials, connect_timeout: float, extra: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the environment for commands that speak to a remote with `credentials`, with `extra` configuration."""
    trusted = {} if credentials.ca is None else {"GIT_SSL_CAINFO": str(credentials.ca)}
    return {
        **_COMMON,
        **trusted,
        "GIT_SSH_COMMAND": credentials.ssh_command(connect_timeout),
        "GIT_SSH_VARIANT": "ssh",
        **configuration((*_CONFIGURATION, *_REMOTE_CONFIGURATION, *extra)),
    }
