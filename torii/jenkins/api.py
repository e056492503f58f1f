"""python-jenkins, each of whose requests goes through a `Wire`.

The library knows Jenkins' paths; of what it does around a request nothing is left. It would fetch a crumb with every token, ask whether a
job is there before and after it makes one, follow redirects to wherever they lead, read a log of any size into memory, and put what
Jenkins says into exceptions from which nobody can tell whether to ask again. Jenkins' own URLs in its answers are never followed either:
behind a proxy they may name another root.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jenkins
import requests

from torii.config.settings import JenkinsSettings
from torii.jenkins import replies
from torii.jenkins.errors import JenkinsInvalidError, JenkinsUnavailableError
from torii.jenkins.wire import MAX_REPLY, Stream, Wire

NAMELESS = "%(folder_url)screateItem"
FOLDER = "%(folder_url)sapi/json"
JOB = "%(folder_url)sjob/%(short_name)s/api/json"
BUILD = "%(folder_url)sjob/%(short_name)s/%(number)s/api/json"
LOG = "%(folder_url)sjob/%(short_name)s/%(number)s/logText/progressiveText"
DESCRIPTION = "%(folder_url)sjob/%(short_name)s/%(number)s/submitDescription"
TESTS = "%(folder_url)sjob/%(short_name)s/%(number)s/testReport/api/json"
ARTIFACT: str = jenkins.BUILD_ARTIFACT
QUEUE = "queue/api/json"
ITEM = "queue/item/%(number)s/api/json"
COMPUTERS = "computer/api/json"
PLUGINS = "pluginManager/api/json"
LABEL = "label/%(label)s/api/json"
WHOAMI = "me/api/json"


class Api(jenkins.Jenkins):
    """The REST API of the Jenkins that `settings` describe. Raises what `Wire` does; JenkinsInvalidError for names that are no job's."""

    def __init__(self, settings: JenkinsSettings, patience: float = 1.0) -> None:
        # Not the library's own: its session takes headers, and leaves out the checking of certificates, as environment variables say.
        self.settings = settings
        self.server = settings.url.rstrip("/") + "/"
        self.wire = Wire(settings, self._build_url(jenkins.CRUMB_URL), patience)

    def jenkins_request(
        self, req: requests.Request, add_crumb: bool = True, resolve_auth: bool = True, stream: bool | None = None
    ) -> requests.Response:
        """Send what the library has made; the login, a crumb and the limits are the wire's affair."""
        del add_crumb, resolve_auth, stream
        if req.method == "GET":
            return self.wire.get(str(req.url), req.params)
        return self.wire.post(str(req.url), req.data, req.headers, req.params)

    def url(self, endpoint: str, job: str | None = None, **variables: object) -> str:
        """Return the address of `endpoint`, of `job` in Torii's folder or of that folder itself."""
        if job is None:
            folder_url, short_name = self._get_job_folder(f"{self.settings.folder}/job".lstrip("/"))
        elif not job or "/" in job or job in (".", "..") or any(ord(letter) < 32 for letter in job):
            raise JenkinsInvalidError(f"{job!r} can be no job's name in Jenkins {self.settings.name!r}")
        else:
            folder_url, short_name = self._get_job_folder(f"{self.settings.folder}/{job}".lstrip("/"))
        return self._build_url(endpoint, {"folder_url": folder_url, "short_name": short_name, **variables})

    def json(self, endpoint: str, job: str | None = None, tree: str = "", largest: int = MAX_REPLY, **variables: object) -> dict[str, Any]:
        """Return the object at `endpoint`, of which `tree` says what is wanted."""
        return self.json_and_headers(endpoint, job, tree, largest, **variables)[0]

    def json_and_headers(
        self, endpoint: str, job: str | None = None, tree: str = "", largest: int = MAX_REPLY, **variables: object
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Return the object at `endpoint`, and the headers of the answer."""
        response = self.wire.get(self.url(endpoint, job, **variables), {"tree": tree} if tree else None, largest)
        try:
            found = response.json()
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise replies.not_jenkins(self.settings, "GET", response)
        return found, response.headers

    def post(
        self,
        endpoint: str,
        job: str | None = None,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **variables: object,
    ) -> requests.Response:
        """POST `data` to `endpoint` and return the answer."""
        return self.wire.post(self.url(endpoint, job, **variables), data, headers)

    def post_xml(self, endpoint: str, job: str, xml: bytes) -> None:
        """POST a job's config.xml. Raises JenkinsInvalidError where Jenkins cannot read it."""
        try:
            self.post(endpoint, job, xml, jenkins.DEFAULT_HEADERS)
        except JenkinsUnavailableError as error:
            if error.status != 500:
                raise
            raise JenkinsInvalidError(f"{error}. Jenkins cannot make a job of this XML; its own log says why") from error

    def stream(self, endpoint: str, job: str, params: Mapping[str, str] | None = None, **variables: object) -> Stream:
        """Begin to read what is at `endpoint` in pieces."""
        return self.wire.stream(self.url(endpoint, job, **variables), params)
