"""What the README says of one's own repository, and docs/plain-git.md of the hook, is true word for word."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
HOOK = next(
    block
    for block in re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "plain-git.md").read_text(), re.MULTILINE | re.DOTALL)
    if "#!" in block
)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("poll", ["100ms", "1h"], ids=["polled", "told-by-a-hook"])
def test_ones_own_repository_is_gated_as_the_readme_says(tmp_path, poll):
    torii = f"{shlex.quote(sys.executable)} -m torii"
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
    hook = bare / "hooks" / "post-receive"
    hook.write_text(HOOK.replace("torii notify tools/app --server /etc/torii", f"{torii} notify app --server {shlex.quote(str(tmp_path))}"))
    hook.chmod(0o755 if poll == "1h" else 0o644)
    # Ports that no other test has, and other than ten seconds between looks: the rest is the README's.
    (tmp_path / "server.yml").write_text(
        server_yml.replace("repositories}", f"repositories, poll: {poll}}}") + "gearman: {port: 0}\nweb: {port: 0}\n"
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
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()  # type: ignore[union-attr]


def notes(work: Path) -> str:
    if not git(work, "ls-remote", "origin", "refs/notes/torii"):
        return ""
    git(work, "fetch", "--quiet", "--force", "origin", "refs/notes/torii:refs/notes/torii")
    return git(work, "log", "--notes=torii")
