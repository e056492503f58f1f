"""Types of python-jenkins 1.8.3: what torii.jenkins.api builds on."""

from collections.abc import Mapping

from requests import Request, Response

DEFAULT_HEADERS: dict[str, str]

INFO: str
CRUMB_URL: str
CREATE_JOB: str
CONFIG_JOB: str
DELETE_JOB: str
ENABLE_JOB: str
BUILD_JOB: str
BUILD_WITH_PARAMS_JOB: str
BUILD_ARTIFACT: str
STOP_BUILD: str

class Jenkins:
    server: str
    def __init__(
        self, url: str, username: str | None = None, password: str | None = None, timeout: float = ..., retries: int = ...
    ) -> None: ...
    def _build_url(self, format_spec: str, variables: Mapping[str, object] | None = None) -> str: ...
    def _get_job_folder(self, name: str) -> tuple[str, str]: ...
    def jenkins_request(self, req: Request, add_crumb: bool = True, resolve_auth: bool = True, stream: bool | None = None) -> Response: ...
    def cancel_queue(self, id: int) -> None: ...
