"""What goes wrong between a client and Jenkins, when a test wants it to: an answer that is none, a slow one, a cut connection."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from torii.testing.jenkins.http import Response, forbidden, jetty, login_first, oops, page, unauthorized

STATUSES = {401, 403, 404, 409, 500, 502, 503}


@dataclass(slots=True)
class Fault:
    """Meets the next `times` requests whose method and path match `pattern` (a regular expression, searched in `GET /job/x/api/json?...`).

    `kind`: a status, `login` (403 with the page that leads to the login), `html` (200 and a page where JSON was due), `elsewhere` (302 to
    another host, as where artifacts are kept in S3), `cut` (the connection ends without an answer), `half` (it ends in the middle of the
    body), `slow` (the right answer, `seconds` late), `after` (it is done, and then the connection ends).
    """

    pattern: str
    kind: int | str
    times: int
    seconds: float = 0.0
    met: int = 0


class Faults:
    """The faults that are set. Each matching request meets the first that has any left; without one it is answered as it should be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set: list[Fault] = []
        self.over = threading.Event()
        """Set when Jenkins ends: nobody is slow then."""

    def add(self, kind: int | str, pattern: str = "", times: int = 1, seconds: float = 0.0) -> Fault:
        """Set a fault; `met` of what comes back counts the requests that met it."""
        fault = Fault(pattern, kind, times, seconds)
        with self._lock:
            self._set.append(fault)
        return fault

    def clear(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._set.clear()

    def meet(self, method: str, target: str) -> Fault | None:
        """Return the fault that a request meets, and count it."""
        if not self._set:
            return None
        with self._lock:
            for fault in self._set:
                if fault.met < fault.times and re.search(fault.pattern, f"{method} {target}"):
                    fault.met += 1
                    return fault
        return None


def response(fault: Fault, target: str) -> Response | None:
    """Return what a request that meets `fault` is answered, None where the fault lies elsewhere."""
    match fault.kind:
        case 401:
            return unauthorized(target)
        case 403:
            return forbidden("torii", "Overall/Read")
        case "login":
            return login_first(target)
        case "elsewhere":
            return Response(302, b"", {"Location": f"https://artifacts.example.org{target}?signature=hush"})
        case "html":
            return page("Jenkins is getting ready to work")
        case 409:
            return page("Error", 409)
        case 500:
            return oops()
        case int() as status:
            return jetty(status, {404: "Not Found", 502: "Bad Gateway", 503: "Service Unavailable"}.get(status, "Error"), target)
    return None
