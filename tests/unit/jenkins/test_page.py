"""What docs/jenkins.md says can be typed, configured, or read in an error, is so."""

from __future__ import annotations

import re
from pathlib import Path

import click

from torii.cli.jenkins import check_command
from torii.cli.sync_jobs import command as sync_command
from torii.config.server import load_server
from torii.config.settings import DispatchBy
from torii.jenkins.check_rights import NEEDED
from torii.jobs import plugins
from torii.jobs.definition import JobSource
from torii.jobs.files import own_files
from torii.jobs.library import JobLibrary
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "jenkins.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
GEARMAN, SERVER, TEAM, MACRO, DEFAULTS = YAML
NOT_OURS = ("Host key", "could not read", "<a href", "Authentication required")
"""What git and Jenkins say."""
EXAMPLES = re.compile(r"\.\.\.|'team/torii'|jenkins\.ci|\barm\b|30 s|\(torii\)|401|403|Job/Create|JSON was due")


def source() -> str:
    """All of Torii's own text, with strings that stand one after another put together."""
    files = [*(ROOT / "torii").rglob("*.py"), *(ROOT / "job-templates").iterdir()]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files if "testing" not in path.parts))


def rows(heading: str) -> list[list[str]]:
    """The rows of the tables below `heading`, cell by cell."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\) \| ", line.strip("| "))] for line in lines]


def test_the_server_yml_of_the_page_is_one(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_text(SERVER)
    config = load_server(file)
    [ci] = config.jenkins
    assert (ci.url, ci.folder, ci.dispatch) == ("https://jenkins.example.com", "team/torii", DispatchBy.GEARMAN)
    assert {project.name: project.jenkins for project in config.projects} == {"app": ("ci",), "tool": ()}
    file.write_text(GEARMAN)
    assert load_server(file).gearman.host == "10.0.0.7"
    file.write_text(f"connections: {{forge: {{url: 'ssh://git@git.example.com'}}}}\n{TEAM}")
    assert load_server(file).config_project is not None


def test_the_macro_of_the_page_fetches_with_its_credential(tmp_path: Path) -> None:
    (tmp_path / "jjb").mkdir()
    (tmp_path / "jjb" / "team.yaml").write_text(MACRO)
    (tmp_path / "jjb" / "defaults.yaml").write_text(DEFAULTS)
    library = JobLibrary("http://torii.example.com", own_files().replaced_by(tmp_path, "ci-config"))
    [rendered] = library.render([JobSource(ProjectName("app"), "main", JobDefinition("unit", "make"))])
    assert b"<credentialsId>torii-staging</credentialsId>" in rendered.xml
    assert b"<concurrentBuild>true</concurrentBuild>" in rendered.xml
    assert rendered.name == "app--main--unit"


def test_every_plug_in_and_permission_is_on_the_page() -> None:
    for part in plugins.PARTS:
        assert f"`{part.plugin}`" in PAGE
    for permission in NEEDED:
        assert permission in PAGE


def test_what_can_be_typed_is_there() -> None:
    def options(command: click.Command) -> set[str]:
        return {option for parameter in command.params for option in parameter.opts}

    given = {line[0].strip("`").split()[0] for line in rows("The jobs") if line[0].startswith("`--")}
    assert given >= {"--prune", "--only", "--thorough", "--explain", "--out"}
    assert given | {"--plan"} <= options(sync_command)
    assert {"--read-only", "--json"} <= options(check_command)


def test_what_torii_is_quoted_with_is_what_it_says() -> None:
    text = source()
    quoted = [quote for row in rows("When something is wrong") for quote in re.findall(r"``(.+?)``|`([^`]+)`", row[0])]
    fragments = [part.strip(" ,`") for quote in quoted for part in EXAMPLES.split("".join(quote))]
    wanted = [fragment for fragment in fragments if len(fragment) > 7 and not fragment.startswith(NOT_OURS)]
    assert len(wanted) > 20
    assert [fragment for fragment in wanted if fragment not in text] == []


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) - headings == set()
    for file, _ in re.findall(r"\]\(((?:\.\./)?[\w/.-]+\.md)(#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / file).is_file(), file
