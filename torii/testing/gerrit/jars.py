"""Gets Gerrit as jars from a Maven repository.

Gerrit's own war is on no package registry; but the two fat jars that it publishes for those who write plug-ins hold all of it between them,
except Bouncy Castle, with which it hashes passwords and speaks SSH.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from functools import partial
from pathlib import Path

from torii.testing.gerrit.cache import cache_folder, made_once
from torii.testing.gerrit.errors import PartMissingError

DOWNLOAD_LIMIT = 600.0
"""Seconds that Maven may take."""

BOUNCY_CASTLE = "1.80"

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>torii</groupId><artifactId>gerrit-jars</artifactId><version>1</version><packaging>pom</packaging>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>3.8.1</version>
    <configuration><outputDirectory>{folder}</outputDirectory><artifactItems>{items}</artifactItems></configuration>
  </plugin></plugins></build>
</project>
"""
_ITEM = "<artifactItem><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></artifactItem>"


def class_path(version: str, cache: Path | None = None) -> str:
    """Return the class path of Gerrit `version`; its jars are fetched with Maven where the cache has none (some 90 MB).

    Raises PartMissingError where Maven is missing or cannot get them.
    """
    folder = made_once((cache or cache_folder(version)) / "lib", partial(_download, version))
    return ":".join([str(folder / "version.jar"), *(str(folder / f"{name}-{number}.jar") for _, name, number in _artifacts(version))])


def _artifacts(version: str) -> list[tuple[str, str, str]]:
    gerrit = [("com.google.gerrit", name, version) for name in ("gerrit-acceptance-framework", "gerrit-plugin-api")]
    return gerrit + [("org.bouncycastle", f"{name}-jdk18on", BOUNCY_CASTLE) for name in ("bcprov", "bcutil", "bcpkix", "bcpg")]


def _download(version: str, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise PartMissingError("Maven, which gets Gerrit's jars, is not installed; on Debian and Ubuntu: sudo apt-get install maven")
    items = "".join(_ITEM.format(*artifact) for artifact in _artifacts(version))
    with tempfile.TemporaryDirectory() as project:
        Path(project, "pom.xml").write_text(_POM.format(folder=folder, items=items))
        command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "dependency:copy"]
        try:
            done = subprocess.run(
                command, cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            raise PartMissingError(f"Maven did not get Gerrit's jars within {DOWNLOAD_LIMIT:g} s; is its repository in reach?") from None
    if done.returncode != 0:
        words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise PartMissingError(f"Maven could not get Gerrit's jars; is its repository in reach? Its last words:\n{words}")
    # The jars say "(dev)" of themselves; this resource is what Gerrit answers when it is asked for its version.
    with zipfile.ZipFile(folder / "version.jar", "w") as jar:
        jar.writestr("com/google/gerrit/common/Version", f"{version}\n")
