from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from torii.config.schema import server_schema, torii_schema

EXAMPLES = Path(__file__).parents[3] / "examples"
SCHEMAS = {"torii.yml": torii_schema(), "server.yml": server_schema()}
FILES = sorted(path for path in EXAMPLES.rglob("*.yml"))


def kind(path: Path) -> str:
    return "server.yml" if path.name.endswith("server.yml") else "torii.yml"


def errors(document: Any, schema: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMAS[schema])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_schemas_are_schemas(schema: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[schema])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_an_editor_says_of_an_example_what_torii_says(path: Path) -> None:
    found = errors(yaml.safe_load(path.read_text()), kind(path))
    assert bool(found) == (path.parent.name == "wrong"), found


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"queu": "x"},
        {"queue": "a b"},
        {"queue": None},
        {"jobs": []},
        {"jobs": {"a": {}}},
        {"jobs": {"a": {"run": ["x"]}}},
        {"jobs": {"a": {"run": "x", "cache": {}}}},
        {"jobs": {"a": {"run": "x", "voting": "yes"}}},
        {"jobs": {"a": {"run": "x", "attempts": 0}}},
        {"jobs": {"a": {"run": "x", "timeout": "soon"}}},
        {"jobs": {"a": {"run": "x", "needs": [{"soft": True}]}}},
        {"jobs": {"a": {"run": "x", "environment": {"variables": {"TORII_REF": "x"}}}}},
        {"jobs": {"a": {"run": "x", "environment": {"image": "-v"}}}},
        {"jobs": {"a": {"run": "x", "artifacts": ["../x"]}}},
        {"jobs": {"a": {"run": "x", "artifacts": "/x"}}},
        {"jobs": {"a": {"run": "x", "matrix": {"v": []}}}},
        {"jobs": {"../a": {"run": "x"}}},
        {"pipelines": {"check": {"a": "b"}}},
    ],
)
def test_the_schema_of_torii_yml_refuses_what_is_wrong(document: Any) -> None:
    assert errors(document, "torii.yml")


@pytest.mark.parametrize(
    "document",
    [
        {"stat": "x"},
        {"connections": {"c": {"type": "gerrit"}}},
        {"connections": {"c": {"password": "swordfish"}}},
        {"connections": {"c": {"url": "ext::sh"}}},
        {"projects": {"../x": {}}},
        {"projects": {"x": {"merge": "squach"}}},
        {"pipelines": {"x": {"triggers": ["approved"]}}},
        {"pipelines": {"x": {"manager": "serial", "triggers": ["aproved"]}}},
        {"gearman": {"port": 70000}},
        {"web": {"url": "javascript:x"}},
        {"store": {"url": "postgresql://x"}},
        {"worker": {"sandbox": "bwrap"}},
        {"mergers": "many"},
        {"limits": {"unregistered": 0}},
    ],
)
def test_the_schema_of_server_yml_refuses_what_is_wrong(document: Any) -> None:
    assert errors(document, "server.yml")


def test_every_key_has_a_help_text() -> None:
    for schema in SCHEMAS.values():
        for name, part in [("top", schema), *schema["$defs"].items()]:
            for key, field in part.get("properties", {}).items():
                referred = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2], {})
                assert field.get("description") or referred.get("description"), f"{name}.{key}"
