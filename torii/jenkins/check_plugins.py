"""The plug-ins, of a check-up."""

from __future__ import annotations

from collections.abc import Iterator

from torii.config.settings import DispatchBy
from torii.jenkins.controller import Controller
from torii.jenkins.errors import JenkinsRefusedError
from torii.jenkins.surroundings import PluginNeed, Surroundings
from torii.model.finding import Finding, Verdict

_GEARMAN = PluginNeed(
    "gearman-plugin", "the functions through which builds are started", "set `dispatch: rest`, which needs no plug-in", required=True
)
_FOLDERS = PluginNeed("cloudbees-folder", "the folder of Torii's jobs", "leave `folder` out", required=True)


def plugin_findings(controller: Controller, surroundings: Surroundings) -> Iterator[Finding]:
    """Which of the plug-ins that Torii uses are there."""
    needs = (
        *surroundings.plugins,
        *((_GEARMAN,) if controller.settings.dispatch is DispatchBy.GEARMAN else ()),
        *((_FOLDERS,) if controller.settings.folder else ()),
    )
    try:
        there = controller.plugins()
    except JenkinsRefusedError:
        names = ", ".join(need.plugin for need in needs)
        advice = (
            f"look under Manage Jenkins, Plugins for {names}; or give the account Overall/SystemRead (plug-in extended-read-permission), "
            "with which Torii also notices by itself what is missing"
        )
        yield Finding("plug-ins", Verdict.UNKNOWN, "only an administrator of this Jenkins may see which there are", advice)
        return
    for need in needs:
        plugin = there.get(need.plugin)
        if plugin is not None and plugin.active:
            yield Finding(f"plug-in {need.plugin}", Verdict.PASS, f"{plugin.version} is there, for {need.what}")
            continue
        words = f"it is not there, or turned off: {need.what}"
        if need.required:
            yield Finding(f"plug-in {need.plugin}", Verdict.FAIL, words, f"install it; without it, {need.without}")
        else:
            yield Finding(f"plug-in {need.plugin}", Verdict.WARN, words, f"install it if you miss it; without it, {need.without}")
