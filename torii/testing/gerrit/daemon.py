"""Runs Gerrit's own programs: `init` once for a site, and the daemon, which is started, waited for and ended by its process id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import requests

from torii.testing.gerrit.errors import LabError
from torii.testing.gerrit.jars import class_path
from torii.testing.gerrit.java import find_java
from torii.testing.ports import free_ports

__all__ = ["INIT_LIMIT", "START_LIMIT", "STOP_LIMIT", "Program", "free_ports", "program", "stop", "wait_until_ready"]

INIT_LIMIT = 120.0
START_LIMIT = 120.0
STOP_LIMIT = 60.0
"""Seconds after which a daemon that was asked to stop is killed; one that records its classes takes 10."""

_FLOGGER = "com.google.common.flogger.backend.log4j.Log4jBackendFactory#getInstance"
_FLAGS = (
    f"-Dflogger.backend_factory={_FLOGGER}",
    "-Dflogger.logging_context=com.google.gerrit.server.logging.LoggingContext#getInstance",
    "-Djava.awt.headless=true",
    "-XX:TieredStopAtLevel=1",  # a lab's daemon does not live long enough for the second compiler to pay
    "-XX:+UseSerialGC",
    "-Xss512k",
)
_LOG4J = """\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.target=System.err
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d{ISO8601}] [%t] %-5p %c : %m%n
log4j.logger.sshd_log=OFF
log4j.logger.httpd_log=OFF
"""
"""Without the last two lines each request would be written to the console."""


@dataclass(frozen=True, slots=True)
class Program:
    """Gerrit as a command: `command` runs its launcher, in `home`, which is the home folder it thinks it has."""

    command: tuple[str, ...]
    home: Path

    def init(self, site: Path) -> None:
        """Initialise the site at `site`, whose gerrit.config is there. Raises LabError."""
        arguments = ["init", "--batch", "--dev", "--no-auto-start", "--skip-plugins", "--skip-all-downloads", "-d", str(site)]
        try:
            done = subprocess.run(
                [*self.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=INIT_LIMIT,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"Gerrit's init of {site} took longer than {INIT_LIMIT:g} s") from None
        if done.returncode != 0:
            raise LabError(f"Gerrit's init of {site} failed ({done.returncode}): {done.stdout[-2000:]}")

    def recording(self, archive: Path) -> Program:
        """Return the program that writes the classes it used to `archive` when it ends politely."""
        return self._with("-Xlog:disable", f"-XX:ArchiveClassesAtExit={archive}")

    def quickened(self, archive: Path) -> Program:
        """Return the program that starts in two thirds of the time with an archive of classes; without one where Java will not take it."""
        return self._with("-Xlog:disable", f"-XX:SharedArchiveFile={archive}") if archive.exists() else self

    def _with(self, *flags: str) -> Program:
        return replace(self, command=(self.command[0], *flags, *self.command[1:]))

    def daemon(self, site: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start the daemon of `site`, in a session of its own; what it says goes to `log`."""
        with log.open("ab") as file:
            return subprocess.Popen(
                [*self.command, "daemon", "-d", str(site)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=_environment(),
                start_new_session=True,
            )


def program(version: str, folder: Path, *, cache: Path | None = None, heap: str = "400m") -> Program:
    """Return Gerrit `version` as a program that keeps its own files in `folder`. Raises PartMissingError."""
    java = find_java(version)
    home = folder / "home"  # else init reads the keys in the home of whoever runs it
    home.mkdir(parents=True, exist_ok=True)
    (folder / "log4j.properties").write_text(_LOG4J)
    flags = [f"-Xmx{heap}", *_FLAGS, f"-Dlog4j.configuration=file:{folder / 'log4j.properties'}", f"-Duser.home={home}"]
    if java.major >= 24:  # which otherwise warns of what Gerrit's libraries do
        flags += ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"]
    launcher = ["-cp", class_path(version, cache), "com.google.gerrit.launcher.GerritLauncher"]
    return Program((str(java.binary), *flags, *launcher), home)


def wait_until_ready(
    process: subprocess.Popen[bytes], http_port: int, ssh_port: int, log: Path, wanted: Callable[[], bool] = lambda: True
) -> None:
    """Return when both HTTP and SSH answer.

    Raises LabError where the daemon ends before, START_LIMIT seconds are over, or it is not `wanted` any more.
    """
    deadline = time.monotonic() + START_LIMIT
    waiting = [lambda: _http_answers(http_port), lambda: _ssh_answers(ssh_port)]
    while waiting:
        if process.poll() is not None:
            raise LabError(f"Gerrit ended with status {process.returncode} while starting; the end of {log}:\n{_end_of(log)}")
        if time.monotonic() >= deadline:
            raise LabError(f"Gerrit was not ready after {START_LIMIT:g} s; the end of {log}:\n{_end_of(log)}")
        if not wanted():
            raise LabError("Gerrit is not wanted any more, and was starting")
        if waiting[0]():
            waiting.pop(0)
        else:
            time.sleep(0.03)


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End the daemon, politely or not, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)  # a suspended one hears nothing
        process.send_signal(how)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_LIMIT)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "GERRIT_SITE" and not name.startswith("GIT_")}


def _http_answers(port: int) -> bool:
    try:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"http://127.0.0.1:{port}/config/server/version", timeout=20).status_code == 200
    except requests.RequestException:
        return False


def _ssh_answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.settimeout(5.0)
            return connection.recv(64).startswith(b"SSH-2.0-")
    except OSError:
        return False


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
