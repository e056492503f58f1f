"""What the README says of one's own repository is true, word for word."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.waiting import wait_until

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


def test_ones_own_repository_is_gated_as_the_readme_says(tmp_path):
    torii_yml, server_yml = re.findall(r"^```yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    review, gate = (re.search(rf"`(git push origin HEAD:{kind}/main/my-change)`", README) for kind in ("review", "gate"))
    assert review and gate
    bare, work = tmp_path / "repositories" / "app", tmp_path / "work"
    bare.mkdir(parents=True)
    git(bare, "init", "--bare", "--quiet")
    git(tmp_path, "clone", "--quiet", str(bare), "work")
    (work / "torii.yml").write_text(torii_yml.replace("make test", "test -e torii.yml"))  # not every machine has make
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "Begin")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    # Ports that no other test has, and no ten seconds between looks: the rest is the README's.
    (tmp_path / "server.yml").write_text(
        server_yml.replace("repositories}", "repositories, poll: 100ms}") + "gearman: {port: 0}\nweb: {port: 0}\n"
    )

    process = subprocess.Popen(
        [sys.executable, "-m", "torii", "up", "--server", "server.yml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "pages at http://127.0.0.1:" in process.stdout.readline()
        git(work, "commit", "--quiet", "--allow-empty", "-m", "My change")
        commit = git(work, "rev-parse", "HEAD")
        git(work, *review[1].split()[1:])
        wait_until(lambda: "check pipeline" in notes(work), 40)
        git(work, *gate[1].split()[1:])
        wait_until(lambda: git(bare, "rev-parse", "main") == commit, 40)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()  # type: ignore[union-attr]


def notes(work: Path) -> str:
    if not git(work, "ls-remote", "origin", "refs/notes/torii"):
        return ""
    git(work, "fetch", "--quiet", "--force", "origin", "refs/notes/torii:refs/notes/torii")
    return git(work, "log", "--notes=torii")
