"""Types of pygerrit2 2.0.15: its REST interface, in the form in which it hands out the response too."""

from collections.abc import Sequence
from typing import Any, Literal

from requests import Response, Session
from requests.adapters import BaseAdapter
from requests.auth import AuthBase
from requests.auth import HTTPBasicAuth as HTTPBasicAuth

class Anonymous: ...

class GerritRestAPI:
    url: str
    session: Session
    def __init__(
        self, url: str, auth: AuthBase | Anonymous | None = None, verify: bool | str = True, adapter: BaseAdapter | None = None
    ) -> None: ...
    def make_url(self, endpoint: str) -> str: ...
    def get(
        self,
        endpoint: str,
        return_response: Literal[True],
        *,
        params: Sequence[tuple[str, str]] = ...,
        json: object = ...,
        timeout: tuple[float, float] = ...,
        allow_redirects: bool = ...,
    ) -> tuple[Any, Response]: ...
    def put(
        self,
        endpoint: str,
        return_response: Literal[True],
        *,
        params: Sequence[tuple[str, str]] = ...,
        json: object = ...,
        timeout: tuple[float, float] = ...,
        allow_redirects: bool = ...,
    ) -> tuple[Any, Response]: ...
    def post(
        self,
        endpoint: str,
        return_response: Literal[True],
        *,
        params: Sequence[tuple[str, str]] = ...,
        json: object = ...,
        timeout: tuple[float, float] = ...,
        allow_redirects: bool = ...,
    ) -> tuple[Any, Response]: ...
    def delete(
        self,
        endpoint: str,
        return_response: Literal[True],
        *,
        params: Sequence[tuple[str, str]] = ...,
        json: object = ...,
        timeout: tuple[float, float] = ...,
        allow_redirects: bool = ...,
    ) -> tuple[Any, Response]: ...
