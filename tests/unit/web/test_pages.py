"""The pages as an ASGI application, over a real store and real blobs, asked without a server."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.support.asking import ask
from tests.support.pages import COLOURFUL, HOSTILE, PIPELINES, REVIEW, Afternoon, build_id, fill
from torii.model.build import Result, TestSummary
from torii.results import layout
from torii.results.record import BuildRecord, encode
from torii.runtime.ports import Health
from torii.store.errors import StoreError
from torii.web.app import Surroundings, make_app
from torii.web.guard import Guard, own_names

RUNNING = build_id("k3f9-1.1/unit/1")
FAILED = build_id("k3f9-2.1/unit/1")
UNKNOWN = build_id("nobody")
STRANGE = build_id(f"k3f9-6.1/{HOSTILE}/1")


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory):
    afternoon = Afternoon(tmp_path_factory.mktemp("state"))
    fill(afternoon)
    yield afternoon
    afternoon.close()


@pytest.fixture(scope="module")
def app(afternoon):
    return Guard(make_app(afternoon.store, afternoon.blobs, Surroundings(PIPELINES)), own_names("127.0.0.1", "http://torii.example.com"))


def test_the_status_page_shows_pipelines_items_and_reasons(app):
    page = ask(app, "/")
    assert page.status == 200
    text = page.text
    assert [text.index(f">{name}</h2>") for name in ("check", "gate", "post")] == sorted(
        text.index(f">{name}</h2>") for name in ("check", "gate", "post")
    )
    assert text.index("Refuse empty passwords") < text.index("Cache sessions in memory") < text.index("Shorten the footer")
    assert "unit failed on top of app:main/fix-login" in text
    assert "Merged" not in text.split('id="recent"')[0]
    assert "Mend a typo in the README" in text.split('id="recent"')[1]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?live",
        "/changes/app:main/hostile",
        "/items/k3f9-6",
        f"/builds/{build_id(f'k3f9-6.1/{HOSTILE}/1')}",
        f"/builds/{FAILED}",
        "/changes/<script>x",
    ],
)
def test_what_came_from_a_change_is_escaped(app, path):
    text = ask(app, path).text
    assert "<script>" not in re.sub(r'<script src="/static/[^"]*" type="module"></script>', "", text)
    assert "<img src=x" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;" in text


def test_every_answer_forbids_what_a_page_does_not_need(app):
    for path in ("/", f"/builds/{FAILED}/log", "/nope", "/api/status", f"/builds/{FAILED}/artifacts/report.xml"):
        headers = ask(app, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "set-cookie" not in headers


def test_pages_ask_nothing_of_others_and_hold_nothing_inline(app):
    for path in ("/", f"/builds/{FAILED}", "/items/k3f9-3"):
        text = ask(app, path).text
        assert not re.search(r"""(src|action)\s*=\s*["']?(https?:)?//""", text)
        assert not re.search(r"<link[^>]+https?://", text)
        assert " style=" not in text
        assert not re.search(r"\son\w+=", re.sub(r"&[^;]*;|>[^<]*<|title=\"[^\"]*\"", "", text))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(app, method):
    assert ask(app, "/", method).status == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8090", 200),
        ("localhost", 200),
        ("[::1]:8090", 200),
        ("192.0.2.7", 200),
        ("torii.example.com", 200),
        ("TORII.example.com.:80", 200),
        ("evil.example.com", 421),
        ("127.0.0.1.evil.example.com", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_only_names_that_are_ours_are_answered(app, host, status):
    assert ask(app, "/health", host=host).status == status


@pytest.mark.parametrize(
    "path",
    [
        f"/builds/{UNKNOWN}",
        "/builds/xyz",
        f"/builds/{UNKNOWN}/log",
        "/items/none",
        "/changes/none",
        "/nope",
        "/static/../app.py",
        "/static/x",
    ],
)
def test_what_is_unknown_is_a_page_that_says_so(app, path):
    page = ask(app, path)
    assert page.status == 404
    assert "<h1>404</h1>" in page.text
    assert ask(app, path, "HEAD").status == 404


def test_programs_get_their_errors_as_json(app):
    assert ask(app, f"/api/builds/{UNKNOWN}").json == {"error": "There is no build of that id."}


def test_a_live_part_is_sent_only_when_it_changed(afternoon, app):
    first = ask(app, "/items/k3f9-1?live")
    assert first.text.lstrip().startswith("<div data-settled")
    assert ask(app, "/items/k3f9-1?live", if_none_match=first.headers["etag"]).status == 304
    build = afternoon.builds[RUNNING]
    afternoon.put(type(build)(**{field: getattr(build, field) for field in build.__slots__} | {"reason": "It goes slowly."}))
    assert "It goes slowly." in ask(app, "/items/k3f9-1?live", if_none_match=first.headers["etag"]).text


def test_an_item_tells_what_it_was_built_on_and_why_it_was_built_again(app):
    text = ask(app, "/items/k3f9-3").text
    assert text.index("Built on") < text.index("app:main/fix-login") < text.index("this change")
    assert text.index("k3f9-3.2") < text.index("Earlier builds") < text.index("k3f9-3.1")
    assert "app:main/new-cache ahead of it failed (unit): it is tested again without it" in text


def test_a_change_explains_itself(app):
    text = ask(app, "/changes/web:main/dark-mode").text
    assert text.index("since it was approved by dev@example.com") < text.index("it is tested again without it")


def test_a_build_shows_its_facts_tests_artifacts_and_log(app):
    text = ask(app, f"/builds/{FAILED}").text
    for shown in (
        "128 run",
        "7 failed",
        "TestLimit.test_evicts_the_oldest",
        "and 4 more",
        "worker-1",
        "33.8 KiB",
        'id="L12"',
        '<span class="f1 bold">',
    ):
        assert shown in text
    assert "Receiving objects:  50%" not in text


def test_a_build_shows_what_it_says_of_lines_of_files(app):
    text = ask(app, f"/builds/{FAILED}").text
    assert "3 comments on files" in text
    assert '<td class="mono">src/cache.py:14</td>' in text
    assert "theirs.py:120-145</td>" in text
    assert '<td class="said">split this:\n  it does two things</td>' in text
    assert '<td class="mono">README</td>' in text
    assert "comments on files" not in ask(app, f"/builds/{RUNNING}").text
    assert ask(app, f"/api/builds/{FAILED}").json["record"]["comments"][0]["line"] == 14


@pytest.mark.parametrize("path", ["/", "/changes/app:main/fix-login", "/items/k3f9-1", f"/builds/{RUNNING}"])
def test_a_change_links_to_its_own_page(app, path):
    text = ask(app, path).text
    assert text.count(f'href="{REVIEW}" rel="noopener noreferrer"') == 1
    assert "on review.example.com" in text


UNFIT = [
    "javascript:alert(1)",
    "JAVASCRIPT:alert(1)",
    "data:text/html,x",
    "//evil.example.com",
    "ftp://x/",
    "https://",
    'https://x/"onclick=y',
]
UNFIT += ["https://user:password@x/", " https://x/", "https://x/\n", "java\nscript:x", "https://x/" + "y" * 3000, ""]


@pytest.mark.parametrize("url", UNFIT)
def test_what_is_no_address_of_the_web_is_no_link(tmp_path, url):
    afternoon = Afternoon(tmp_path)
    item = afternoon.item(1, "review:12", "Fix", url=url)
    build = afternoon.build(item, "unit")
    afternoon.put(replace(build, url=url))
    app = Guard(make_app(afternoon.store, afternoon.blobs), ())
    for path in ("/", "/changes/review:12", "/items/k3f9-1", f"/builds/{build.id}"):
        page = ask(app, path)
        assert page.status == 200
        assert re.findall(r'href="(?!/[^/]|/"|#)[^"]*"', page.text) == []
        assert "rel=" not in page.text.split("<main")[1]
    afternoon.close()


def test_a_build_links_to_where_it_ran(tmp_path):
    afternoon = Afternoon(tmp_path)
    build = afternoon.build(afternoon.item(1, "review:12", "Fix"), "unit")
    app = Guard(make_app(afternoon.store, afternoon.blobs), ())
    afternoon.put(replace(build, url="https://jenkins.example.com/job/unit/7/"))
    text = ask(app, f"/builds/{build.id}").text
    assert '<dt>In Jenkins</dt><dd><a href="https://jenkins.example.com/job/unit/7/"' in text
    afternoon.put(replace(build, url="https://farm.example.com/7"))
    assert '<dt>Also at</dt><dd><a href="https://farm.example.com/7"' in ask(app, f"/builds/{build.id}").text
    afternoon.put(replace(build, url=f"https://torii.example.com/builds/{build.id}"))
    assert "<dt>Also at" not in ask(app, f"/builds/{build.id}").text
    afternoon.close()


def test_a_build_that_ended_in_jenkins_links_there_and_to_what_stayed_there(tmp_path):
    afternoon = Afternoon(tmp_path)
    build = afternoon.build(afternoon.item(1, "review:12", "Fix"), "unit", "done", result=Result.SUCCESS)
    app = Guard(make_app(afternoon.store, afternoon.blobs), ())
    record = BuildRecord(Result.SUCCESS, url="https://ci.example.com/job/unit/7/", linked=("dist/größe 1.txt", '"><script>'))
    afternoon.blobs.put(layout.record(build.id), encode(record))
    text = ask(app, f"/builds/{build.id}").text
    assert 'href="https://ci.example.com/job/unit/7/"' in text
    link = "https://ci.example.com/job/unit/7/artifact/dist/gr%C3%B6%C3%9Fe%201.txt"
    assert f'<a class="mono" href="{link}" rel="noopener noreferrer">dist/größe 1.txt</a>' in text
    assert "<script>" not in text.split("<main")[1]
    afternoon.blobs.put(layout.record(build.id), encode(replace(record, url="javascript:alert(1)//")))
    text = ask(app, f"/builds/{build.id}").text
    assert "javascript" not in text and "dist/größe 1.txt" in text
    afternoon.close()


def test_how_many_tests_failed_stands_on_a_builds_page_once(tmp_path):
    afternoon = Afternoon(tmp_path)
    tests = TestSummary(2, 1, 0, ("shop.tea",))
    done = {"result": Result.UNSTABLE, "reason": "1 of 2 tests failed", "tests": tests}
    build = afternoon.build(afternoon.item(1, "review:12", "Fix"), "unit", "done", **done)
    app = Guard(make_app(afternoon.store, afternoon.blobs), ())
    afternoon.blobs.put(layout.record(build.id), encode(BuildRecord(Result.UNSTABLE, detail="1 of 2 tests failed", tests=tests)))
    assert ask(app, f"/builds/{build.id}").text.count("1 of 2 tests failed") == 1
    afternoon.put(replace(build, reason="the disk was full"))
    assert "the disk was full" in ask(app, f"/builds/{build.id}").text
    afternoon.close()


def test_a_build_whose_result_was_kept_leads_to_the_one_that_had_it(tmp_path):
    afternoon = Afternoon(tmp_path)
    build = afternoon.build(afternoon.item(1, "review:12", "Fix"), "unit", "done", result=Result.SUCCESS)
    afternoon.put(replace(build, kept_from=FAILED))
    text = ask(Guard(make_app(afternoon.store, afternoon.blobs), ()), f"/builds/{build.id}").text
    assert f'href="/builds/{FAILED}"' in text
    assert "It was not run again, so it has no log of its own." in text
    afternoon.close()


WELL = Health("", (("local", "ok"), ("review", "ok")))
DEGRADED = Health("", (("local", "ok"), ("review", "the stream is down since 12:00: no route to <b>host</b>")))
DOWN = Health("nothing can be recorded, so nothing is done: the disk is full", DEGRADED.sources)


@pytest.mark.parametrize(
    ("health", "status", "word"), [(WELL, 200, "ok"), (DEGRADED, 200, "degraded"), (DOWN, 503, "down")], ids=["well", "degraded", "down"]
)
def test_health_says_whether_torii_works_and_what_is_not_well(afternoon, health, status, word):
    app = Guard(make_app(afternoon.store, afternoon.blobs, Surroundings(PIPELINES, health=lambda: health)), ())
    answer = ask(app, "/health")
    assert (answer.status, answer.json["status"], answer.json["problem"]) == (status, word, health.problem)
    assert answer.json["sources"] == dict(health.sources)
    assert ask(app, "/health", "HEAD").status == status
    for page in (ask(app, "/").text, ask(app, "/?live").text):
        assert ("Torii cannot work just now" in page) == (word == "down")
        assert ("the disk is full" in page) == (word == "down")
        assert ("Not everything is well" in page) == (word != "ok")
        assert ("no route to &lt;b&gt;host&lt;/b&gt;" in page) == (word != "ok")


def test_a_build_that_left_no_log_says_so(afternoon, app):
    item = afternoon.items["k3f9-1"]
    skipped = afternoon.build(item, "never", "done", result=Result.SKIPPED)
    text = ask(app, f"/builds/{skipped.id}").text
    assert "It left no log." in text
    assert ask(app, f"/builds/{skipped.id}/log").status == 404
    assert ask(app, f"/builds/{skipped.id}/log/rows").json["html"].strip() == ""


def test_rows_of_a_log_go_on_from_a_cursor(app):
    whole = ask(app, f"/builds/{FAILED}/log/rows?after=0_1_0_..").json
    assert whole["done"] is True
    assert whole["more"] is False
    assert whole["first"] is True
    assert ask(app, f"/builds/{FAILED}/log/rows?after={whole['end']}").json["html"].strip() == ""
    assert ask(app, f"/builds/{RUNNING}/log/rows").json["done"] is False
    assert ask(app, f"/builds/{FAILED}/log/rows?after=nonsense").status == 400


def test_the_raw_log_is_text_as_it_was_written(app):
    answer = ask(app, f"/builds/{RUNNING}/log")
    assert answer.text == COLOURFUL
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in answer.headers["content-security-policy"]
    head = ask(app, f"/builds/{RUNNING}/log", "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(COLOURFUL.encode())))


@pytest.mark.parametrize(("wanted", "part"), [("bytes=0-9", slice(0, 10)), ("bytes=10-", slice(10, None)), ("bytes=-7", slice(-7, None))])
def test_parts_of_the_raw_log_can_be_asked_for(app, wanted, part):
    answer = ask(app, f"/builds/{RUNNING}/log", range=wanted)
    assert (answer.status, answer.body) == (206, COLOURFUL.encode()[part])
    assert answer.headers["content-range"].endswith(f"/{len(COLOURFUL.encode())}")
    assert answer.headers["content-length"] == str(len(answer.body))


def test_a_range_outside_of_the_log_is_refused_with_its_size(app):
    answer = ask(app, f"/builds/{RUNNING}/log", range="bytes=99999999-")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(COLOURFUL.encode())}")


def test_a_range_of_a_log_that_grew_meanwhile_gets_all_of_it(app):
    etag = ask(app, f"/builds/{RUNNING}/log").headers["etag"]
    assert ask(app, f"/builds/{RUNNING}/log", range="bytes=0-3", if_range=etag).status == 206
    assert ask(app, f"/builds/{RUNNING}/log", range="bytes=0-3", if_range='"other"').status == 200
    assert ask(app, f"/builds/{RUNNING}/log", if_none_match=etag).status == 304


def test_artifacts_are_saved_never_shown(app):
    answer = ask(app, f"/builds/{FAILED}/artifacts/dist/app-1.0.tar.gz")
    assert answer.body == b"x" * 34567
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''app-1.0.tar.gz"
    assert answer.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize("path", ["../console.log", "../../x", "/etc/passwd", "a//b", "none", "\x00", ""])
def test_no_path_of_an_artifact_leads_elsewhere(app, path):
    assert ask(app, f"/builds/{FAILED}/artifacts/{path}").status == 404


def test_scripts_get_the_same_as_json(app):
    status = ask(app, "/api/status").json
    gate = next(pipeline for pipeline in status["pipelines"] if pipeline["name"] == "gate")
    items = gate["queues"][0]["items"]
    assert [item["place"] for item in items] == [1, 2, 3, 4]
    assert items[1]["builds"][0]["result"] in ("SUCCESS", "FAILURE")
    item = ask(app, "/api/items/k3f9-3").json
    assert [each["current"] for each in item["build_sets"]] == [True, False]
    assert ask(app, "/api/changes/web:main/dark-mode").json["decisions"][0]["pipeline"] == "gate"
    assert ask(app, f"/api/builds/{FAILED}").json["record"]["tests"]["failed"] == 7


def test_a_store_that_fails_is_told_on_the_page_and_by_health():
    class Broken:
        def __getattr__(self, name):
            def fail(*_, **__):
                raise StoreError("the disk is gone")

            return fail

    app = Guard(make_app(Broken(), Broken()), ())
    for path in ("/", "/health", "/api/status", "/items/x"):
        answer = ask(app, path)
        assert answer.status == 503
        assert "cannot read its store" in answer.text


def test_an_error_of_ours_tells_a_reader_no_more_than_that(afternoon):
    class Faulty:
        def __getattr__(self, name):
            raise ZeroDivisionError("secret detail")

    answer = ask(Guard(make_app(Faulty(), afternoon.blobs), ()), "/")
    assert answer.status == 500
    assert "an error of its own" in answer.text
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_assets_keep_for_ever_at_the_address_that_names_their_content(app):
    address = re.search(r"/static/torii\.css\?[0-9a-f]+", ask(app, "/").text)[0]
    assert "immutable" in ask(app, address).headers["cache-control"]
    assert ask(app, "/static/torii.css").headers["cache-control"] == "no-cache"
    assert ask(app, "/static/ansi.css").headers["content-type"].startswith("text/css")
