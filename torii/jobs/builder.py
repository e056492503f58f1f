"""Has Jenkins Job Builder make job XML, in this process: its start-up is most of what a run of its command would cost."""

from __future__ import annotations

import importlib
import io
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from torii.jobs.definition import TemplateProblem
from torii.jobs.files import JOB, JobFiles
from torii.jobs.suspects import suspects
from torii.jobs.xml import serialise

_LOCK = threading.Lock()  # it keeps caches in class attributes, and has never heard of threads


def warm_up() -> None:
    """Import Jenkins Job Builder now (a fifth of a second), not when the first job is made."""
    with _LOCK:
        _jenkins_jobs()


def make_xml(yaml: str, files: JobFiles) -> list[tuple[str, bytes]]:
    """Return name and config.xml (UTF-8) of each job in `yaml`, in order, made with the macros and defaults in `files`.

    Raises `TemplateProblem` with Jenkins Job Builder's own words, and file and line, where it refuses.
    """
    with _LOCK:
        jjb = _jenkins_jobs()
        try:
            return [(job.name, _finished(jjb, job.xml)) for job in _generate(jjb, yaml, files)]
        except jjb.error as error:
            words = _words(error).removesuffix(".")
            where = f"; see {places}" if (places := suspects(words, files)) else ""
            raise TemplateProblem(f"Jenkins Job Builder refuses a job template or macro: {words}{where}") from error
        except jjb.yaml_error as error:
            raise TemplateProblem(f"a job template or macro is no YAML: {_words(error)}") from error
        except RecursionError as error:
            words = "a macro that uses itself, or something within something too many times over"
            raise TemplateProblem(f"{_culprit(jjb, files)}: Jenkins Job Builder comes to no end: {words}") from error
        except Exception as error:
            # What it does with a list where it wants a mapping, and the like.
            words = f"{type(error).__name__}: {error}"
            raise TemplateProblem(f"{_culprit(jjb, files)}: Jenkins Job Builder fails on it: {words}") from error


def _culprit(jjb: Any, files: JobFiles) -> str:
    """Return the file that Jenkins Job Builder cannot even load, where it does not say which: a macro's, or else the job template."""
    for _, file in sorted(files.macros.items()):
        config = jjb.config(str(files.settings))
        try:
            jjb.load_files(config, jjb.roots(config), [file.path])
        except Exception:
            return f"{file.path} ({file.origin})"
    file = files.templates[JOB]
    return f"what {file.path} ({file.origin}) makes"


@dataclass(frozen=True, slots=True)
class Used:
    """A macro or the defaults that a job uses, and where they stand."""

    what: str
    path: str
    line: int


def parts(yaml: str, files: JobFiles) -> list[Used]:
    """Return the macros and defaults that the jobs of `yaml` use, also by way of others. Raises as `make_xml` does."""
    make_xml(yaml, files)
    with _LOCK:
        jjb = _jenkins_jobs()
        roots = _roots(jjb, jjb.config(str(files.settings)), yaml, files)
        used: dict[Used, None] = {}
        for job in roots.jobs.values():
            if (defaults := roots.defaults.get(job.defaults_name)) is not None:
                used[_used("defaults", defaults)] = None
        for job in roots.generate_jobs():
            _follow(jjb, roots, job.data, used)
        return list(used)


def _follow(jjb: Any, roots: Any, contents: Any, used: dict[Used, None]) -> None:
    for kind, key in jjb.kinds:
        for element in contents.get(key) or ():
            name = element if isinstance(element, str) else next(iter(element))
            macro = roots.macros[kind].get(name)
            if macro is not None and (found := _used(kind, macro)) not in used:
                used[found] = None
                _follow(jjb, roots, {key: macro.elements}, used)


def _used(kind: str, part: Any) -> Used:
    return Used(f"{kind} {part.name}", str(part.pos.path), part.pos.line + 1)


def _roots(jjb: Any, config: Any, yaml: str, files: JobFiles) -> Any:
    roots = jjb.roots(config)
    jjb.load_files(config, roots, [*(file.path for _, file in sorted(files.macros.items())), io.StringIO(yaml)])
    return roots


def _generate(jjb: Any, yaml: str, files: JobFiles) -> Sequence[Any]:
    config = jjb.config(str(files.settings))
    roots = _roots(jjb, config, yaml, files)
    registry = jjb.registry(config, [])
    registry.set_macros(roots.macros)
    jobs = roots.generate_jobs()
    registry.amend_job_dicts(jobs)
    made: Sequence[Any] = jjb.generator(registry).generateXML(jobs)
    return made


def _finished(jjb: Any, root: Any) -> bytes:
    """Return the XML without Jenkins Job Builder's mark: its own `--delete-old` would take the job for one that it made.

    Its own output() goes through a second parser and loses carriage returns.
    """
    if (description := root.find("description")) is not None:
        description.text = (description.text or "").removesuffix(jjb.managed)
    return serialise(root)


def _words(error: Any) -> str:
    """Return what an error says with file, line and what stands there, on one line each."""
    lines: list[str] = getattr(error, "lines", None) or str(error).splitlines()
    return "\n".join(line.rstrip().replace("<unicode string>", "what the templates make") for line in lines)


def _harmless(tag: object) -> bool:
    """Whether what is tagged so is made of nothing but what stands there. None is for tags that nobody knows: an error."""
    return tag is None or tag == "!join:" or not str(tag).startswith(("!", "tag:yaml.org,2002:python/"))


@cache
def _jenkins_jobs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds its modules through pkg_resources, which says on import that it is deprecated
        part = {
            name: importlib.import_module(f"jenkins_jobs.{name}")
            for name in ("config", "constants", "errors", "loader", "macro", "registry", "roots", "xml_config")
        }
        yaml = importlib.import_module("yaml")
    # No macro or template has other files of this machine read into a job, runs Jinja2 that is not sandboxed, or calls Python.
    loader = part["loader"].Loader
    loader.yaml_constructors = {tag: make for tag, make in loader.yaml_constructors.items() if _harmless(tag)}
    loader.yaml_multi_constructors = {}
    return SimpleNamespace(
        config=part["config"].JJBConfig,
        error=part["errors"].JenkinsJobsException,
        load_files=part["loader"].load_files,
        registry=part["registry"].ModuleRegistry,
        roots=part["roots"].Roots,
        generator=part["xml_config"].XmlJobGenerator,
        kinds=part["macro"].macro_specs,
        managed=part["constants"].MAGIC_MANAGE_STRING,
        yaml_error=yaml.YAMLError,
    )
