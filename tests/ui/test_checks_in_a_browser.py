"""The runs of a change as a page of Gerrit asks for them: in a real browser, which keeps pages of different origins apart."""

from __future__ import annotations

import pytest

from torii.model.build import Result

pytestmark = pytest.mark.needs("chromium")

# As the stock plug-in does it: with the cookies of whoever looks.
ASK = """(url) => fetch(url, {credentials: 'include'}).then(answer => answer.json()).catch(error => `refused: ${error.message}`)"""


@pytest.fixture
def said():
    """What the browser says of itself."""
    return []


@pytest.fixture
def on_page_of(chromium, said):
    """Return a page at the given origin, where nobody needs to listen."""
    contexts = []

    def on_page_of(origin: str):
        context = chromium.new_context()
        contexts.append(context)
        context.grant_permissions(["local-network-access"], origin=origin)  # else Chromium asks its user, for Torii is on loopback
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.route(f"{origin}/**", lambda route: route.fulfill(body="<h1>a change</h1>", content_type="text/html"))
        page.goto(f"{origin}/c/app/+/12")
        return page

    yield on_page_of
    for context in contexts:
        context.close()


@pytest.fixture
def asked(web, afternoon):
    item = afternoon.item(90, "review:12", "Refuse empty passwords", patchset="3")
    afternoon.build(item, "unit", "done", result=Result.FAILURE, reason="exit status 1")
    return f"{web.url}/gerrit-checks/runs?change=12&patchset=3"


def test_the_page_of_a_configured_gerrit_reads_the_runs(on_page_of, asked):
    (run,) = on_page_of("http://review.localhost").evaluate(ASK, asked)["runs"]
    assert (run["checkName"], run["status"], run["results"][0]["category"]) == ("gate/unit", "COMPLETED", "ERROR")


@pytest.mark.parametrize(("origin", "path"), [("http://evil.localhost", "/gerrit-checks/runs"), ("http://review.localhost", "/api/status")])
def test_any_other_page_is_refused_and_so_is_any_other_address(on_page_of, asked, said, origin, path):
    assert on_page_of(origin).evaluate(ASK, asked.replace("/gerrit-checks/runs", path)).startswith("refused: ")
    assert "No 'Access-Control-Allow-Origin' header" in " ".join(said)


def test_a_page_that_asks_the_browser_to_ask_first_reads_them_too(on_page_of, asked):
    ask = """(url) => fetch(url, {credentials: 'include', headers: {'Content-Type': 'application/json'}})
      .then(answer => answer.json()).catch(error => `refused: ${error.message}`)"""
    assert len(on_page_of("http://review.localhost").evaluate(ask, asked)["runs"]) == 1
    assert on_page_of("http://evil.localhost").evaluate(ask, asked).startswith("refused: ")
