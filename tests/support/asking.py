"""Asks an ASGI application without a server, as a server would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(app: ASGIApp, target: str, method: str = "GET", body: bytes | Sequence[bytes] = b"", **headers: str) -> Answer:
    """Ask an ASGI application as a server would; `body` may come in pieces. Header names have `_` for `-`."""
    path, _, query = target.partition("?")
    sent = {"host": "127.0.0.1:8090", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8090),
    }
    answer = Answer(0, {}, b"")

    async def run() -> None:
        over = asyncio.Event()
        pieces = [body] if isinstance(body, bytes) else list(body)
        requests = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces[:-1]]
        requests.append({"type": "http.request", "body": pieces[-1], "more_body": False})

        async def receive() -> Message:
            if requests:
                return requests.pop(0)
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await app(scope, receive, send)
        over.set()

    asyncio.run(asyncio.wait_for(run(), 20))
    return answer
