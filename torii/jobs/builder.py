"""Has Jenkins Job Builder make job XML, in this process: its start-up is most of what a run of its command would cost."""

from __future__ import annotations

import importlib
import io
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from torii.jobs.template import TemplateProblem

_LOCK = threading.Lock()  # it keeps caches in class attributes, and has never heard of threads


def warm_up() -> None:
    """Import Jenkins Job Builder now (a fifth of a second), not when the first job is made."""
    with _LOCK:
        _jenkins_jobs()


def make_xml(yaml: str, library: Path) -> list[tuple[str, bytes]]:
    """Return name and config.xml (UTF-8) of each job in `yaml`, in order, made with the macros and defaults in `library`.

    Raises `TemplateProblem` with Jenkins Job Builder's own words where it refuses.
    """
    with _LOCK:
        jjb = _jenkins_jobs()
        try:
            return [(job.name, _serialise(job.xml)) for job in _generate(jjb, yaml, library)]
        except jjb.error as error:
            raise TemplateProblem(f"Jenkins Job Builder refuses a job template or macro: {error}") from error
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            # What it does with a list where it wants a mapping, and the like.
            raise TemplateProblem(f"Jenkins Job Builder fails on a job template or macro: {error.__class__.__name__}: {error}") from error


def _generate(jjb: Any, yaml: str, library: Path) -> Sequence[Any]:
    config = jjb.config(str(library / "jenkins_jobs.ini"))
    roots = jjb.roots(config)
    jjb.load_files(config, roots, [library, io.StringIO(yaml)])
    registry = jjb.registry(config, [])
    registry.set_macros(roots.macros)
    jobs = roots.generate_jobs()
    registry.amend_job_dicts(jobs)
    made: Sequence[Any] = jjb.generator(registry).generateXML(jobs)
    return made


def _serialise(root: Any) -> bytes:
    # Its own output() goes through a second parser and loses carriage returns. Only white space between elements is added here.
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data.replace(b"\r", b"&#13;") + b"\n"


@cache
def _jenkins_jobs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds its modules through pkg_resources, which says on import that it is deprecated
        part = {
            name: importlib.import_module(f"jenkins_jobs.{name}")
            for name in ("config", "errors", "loader", "registry", "roots", "xml_config")
        }
    return SimpleNamespace(
        config=part["config"].JJBConfig,
        error=part["errors"].JenkinsJobsException,
        load_files=part["loader"].load_files,
        registry=part["registry"].ModuleRegistry,
        roots=part["roots"].Roots,
        generator=part["xml_config"].XmlJobGenerator,
    )
