"""The pages as a user sees them, in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tests.support.pages import build_id
from torii.model.build import Result
from torii.runtime.ports import Health

pytestmark = pytest.mark.needs("chromium")

RUNNING = build_id("k3f9-1.1/unit/1")
FAILED = build_id("k3f9-2.1/unit/1")
PATHS = ["/", "/changes/web:main/dark-mode", "/items/k3f9-3", "/items/k3f9-6", f"/builds/{FAILED}", f"/builds/{RUNNING}"]


def test_the_status_page_follows_what_happens(open_page, afternoon):
    page = open_page("/")
    gate = page.get_by_role("region", name="gate")
    expect(gate.locator(".card .title").first).to_have_text("Refuse empty passwords")

    head = afternoon.items["k3f9-1"]
    afternoon.end(afternoon.builds[RUNNING], Result.SUCCESS)
    expect(gate.locator(".card").first.locator(".chip", has_text="unit")).to_have_class(re.compile(r"\bok\b"))
    afternoon.leave(head, "merged", "Merged as 4c7a3b1e.")
    expect(gate.locator(".card .title").first).to_have_text("Cache sessions in memory, with an upper limit")
    expect(page.get_by_role("region", name="Left lately").locator("li").first).to_contain_text("Refuse empty passwords")

    afternoon.item(20, "app:main/urgent", "A new change comes in", ago=0)
    expect(gate.locator(".card .title").last).to_have_text("A new change comes in")


def test_a_lost_connection_is_told_and_taken_up_again(open_page, web, afternoon):
    page = open_page("/", tolerant=True)
    page.route("**/?live", lambda route: route.fulfill(status=502, body=""), times=2)
    expect(page.locator("#link-state")).to_contain_text("No connection")
    expect(page.locator("#link-state")).to_be_empty(timeout=15_000)


def test_an_item_that_is_open_follows_its_build_sets(open_page, afternoon):
    page = open_page("/items/k3f9-3")
    item = replace(afternoon.items["k3f9-3"], build_set="k3f9-3.3", built_on=(), reason="It is tested again on the tip of main.")
    afternoon.put(item)
    afternoon.build(item, "lint", "running", ago=0)
    expect(page.locator("#live")).to_contain_text("k3f9-3.3")
    expect(page.locator(".lead")).to_contain_text("on the tip of main")
    expect(page.locator(".stack")).not_to_contain_text("app:main/fix-login")


def test_a_log_is_followed_while_the_build_runs_and_ends_with_it(open_page, afternoon):
    page = open_page(f"/builds/{RUNNING}")
    build = afternoon.builds[RUNNING]
    afternoon.log(build, "a first half ")
    expect(page.locator(".ln").last).to_contain_text("a first half")
    afternoon.log(build, "and a second\n\x1b[32mnew line\n")
    expect(page.locator(".ln").last).to_have_text("new line")
    assert page.locator(".ln", has_text="a first half and a second").count() == 1
    afternoon.log(build, "".join(f"line {number}\n" for number in range(500)))
    expect(page.locator(".ln").last).to_be_in_viewport()
    expect(page.locator(".ln").last).to_have_text("line 499")

    afternoon.log(build, "the very last line")
    afternoon.end(build, Result.FAILURE, {"out.txt": b"x"})
    expect(page.locator(".lead .pill")).to_have_text("failure")
    expect(page.locator("#live")).to_contain_text("out.txt")
    expect(page.locator(".ln").last).to_have_text("the very last line")
    expect(page.locator("#log-follow-box")).to_be_hidden()
    numbers = page.locator(".ln > a:first-child").evaluate_all("links => links.map(link => Number(link.dataset.n))")
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_finished_page_asks_no_more(open_page):
    page = open_page(f"/builds/{FAILED}")
    expect(page.locator("#live")).to_have_attribute("data-live", "settled")
    expect(page.locator("#log")).to_have_attribute("data-log", "complete")


def test_colours_are_seen(open_page):
    page = open_page(f"/builds/{FAILED}")
    red = page.locator(".ln", has_text="1048577").locator("span.f1")
    expect(red).to_have_css("color", "rgb(240, 127, 117)")
    expect(red).to_have_css("font-weight", "700")
    expect(page.locator("span.f208")).to_have_css("color", "rgb(255, 135, 0)")
    expect(page.get_by_role("link", name="the page on warnings")).to_have_attribute("href", "https://docs.example.com/warnings")


@pytest.mark.parametrize("path", ["/", "/changes/app:main/hostile", "/items/k3f9-6"])
def test_hostile_text_is_only_text(open_page, path):
    page = open_page(path)
    with page.expect_response("**/*?live"):  # which writes the same text by script
        pass
    assert "owned" not in page.title().split("·")[-1]
    assert page.locator("main img, main script").count() == 0
    assert page.get_by_text("<script>").count() > 0


def test_a_hostile_log_is_only_text(open_page, afternoon):
    build = afternoon.builds[RUNNING]
    afternoon.log(build, '<img src=x onerror=document.title="owned">\x1b]8;;javascript:document.title="owned"\x1b\\click\x1b]8;;\x1b\\\n')
    page = open_page(f"/builds/{RUNNING}")
    afternoon.log(build, '</div><script>document.title="owned"</script>\n')
    expect(page.locator(".ln").last).to_have_text('</div><script>document.title="owned"</script>')
    assert page.locator("#log-text img, #log-text script").count() == 0
    assert "owned" not in page.title()
    assert page.locator("a[href^='javascript']").count() == 0


def test_an_address_of_a_line_leads_to_it_in_a_log_of_100_megabytes(open_page, afternoon):
    build = afternoon.builds[RUNNING]
    line = "x" * 90
    with afternoon.blobs.append(f"builds/{build.id}/console.log") as writer:
        for block in range(100):
            writer.write("".join(f"{line} {block * 10_000 + number}\n" for number in range(10_000)).encode())
    afternoon.end(build, Result.SUCCESS)
    page = open_page(f"/builds/{build.id}")
    expect(page.locator(".ln").last).to_contain_text("999999")
    assert page.locator(".ln").count() < 5000

    page.evaluate("location.hash = '#L500000'")
    row = page.locator("#L500000")
    expect(row).to_have_class(re.compile("here"))
    expect(row).to_be_in_viewport()
    page.get_by_role("button", name="Show what is before").click()
    expect(page.locator("#L499000")).to_have_count(1)
    expect(page.locator("#L499800")).to_be_in_viewport()  # the first line there was: it stays where it stood
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#L1")).to_be_in_viewport()


def test_of_a_long_log_only_the_part_around_the_reader_is_kept(open_page, afternoon):
    build = afternoon.builds[RUNNING]
    afternoon.log(build, "".join(f"{number} {'x' * 160}\n" for number in range(11_000)))
    afternoon.end(build, Result.SUCCESS)
    page = open_page(f"/builds/{build.id}")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#L1")).to_be_in_viewport()
    for _ in range(12):
        assert page.evaluate(SCROLL_ON), "the next piece did not come"
    expect(page.locator("#L1")).to_have_count(0)
    assert page.locator(".piece").count() == 12
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#L1")).to_be_in_viewport()


def test_a_click_on_a_number_marks_its_line(open_page):
    page = open_page(f"/builds/{FAILED}#L12")
    expect(page.locator("#L12")).to_have_class(re.compile("here"))
    page.locator("#L3 > a").click()
    expect(page).to_have_url(re.compile("#L3$"))
    expect(page.locator("#L3")).to_have_class(re.compile("here"))
    expect(page.locator("#L12")).not_to_have_class(re.compile("here"))


def test_what_a_build_says_of_lines_of_files_is_a_table_that_cannot_do_harm(open_page):
    page = open_page(f"/builds/{FAILED}")
    rows = page.get_by_role("region", name="3 comments on files").get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text("src/cache.py:14")
    expect(rows.nth(3)).to_contain_text("<script>")
    assert page.locator("main img, main script").count() == 0
    assert "owned" not in page.title().split("·")[-1]


def test_a_change_leads_to_its_own_page(open_page):
    for path in ("/", "/items/k3f9-1", "/changes/app:main/fix-login"):
        link = open_page(path).locator("main").get_by_role("link", name="on review.example.com")
        expect(link).to_have_count(1)
        expect(link).to_have_attribute("href", "https://review.example.com/c/app/+/12")
        expect(link).to_be_visible()


def test_what_is_not_well_is_seen_without_a_reload_and_goes_again(open_page, told):
    page = open_page("/", tolerant=True)
    expect(page.locator(".notice")).to_have_count(0)
    told.health = Health("", (("review", "the event stream is down since 12:04: connection refused"),))
    expect(page.get_by_role("region", name="Not everything is well")).to_contain_text("the event stream is down since 12:04")
    told.health = Health("nothing can be recorded, so nothing is done: the disk is full")
    expect(page.get_by_role("region", name="Torii cannot work just now")).to_contain_text("the disk is full")
    told.health = Health()
    expect(page.locator(".notice")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_not_well_can_be_read(open_page, told, scheme):
    told.health = Health("nothing can be recorded: the disk is full", (("review", f"the stream is down: {'x' * 300}"),))
    page = open_page("/", 360, 740, color_scheme=scheme)
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(WIDEST) <= 361


@pytest.mark.parametrize("path", PATHS)
def test_a_phone_needs_no_sideways_scrolling(open_page, path):
    page = open_page(path, 360, 740)
    widest = page.evaluate(WIDEST)
    assert widest <= 361


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", f"/builds/{FAILED}"])
def test_text_can_be_read_in_both_themes(open_page, path, scheme):
    page = open_page(path, color_scheme=scheme)
    weak = page.evaluate(CONTRAST)
    assert weak == []


def test_the_pages_can_be_read_without_scripts(open_page):
    page = open_page(f"/builds/{FAILED}", java_script_enabled=False)
    expect(page.locator("#L12")).to_contain_text("1048577")
    expect(page.get_by_role("link", name="Raw")).to_have_attribute("href", f"/builds/{FAILED}/log")


# Scrolls to the end and waits until that brought the next piece; false where it did not within ten seconds.
SCROLL_ON = """async () => {
  const end = () => document.querySelector('#log-text').lastElementChild.dataset.end;
  const before = end();
  scrollTo(0, document.documentElement.scrollHeight);
  for (const limit = Date.now() + 10000; end() === before && Date.now() < limit;) await new Promise(requestAnimationFrame);
  return end() !== before;
}"""

WIDEST = """() => Math.max(document.documentElement.scrollWidth,
  ...[...document.querySelectorAll('main *')].map(each => each.getBoundingClientRect().right))"""

# Elements with text of their own whose colour stands out less than 4.5:1 (WCAG 2, AA) from what lies under them.
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const under = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const style = getComputedStyle(e);
    if (!own || !e.checkVisibility() || e.closest('.sr, .skip, .ansi') || style.opacity < 1) continue;
    const [a, b] = [light(rgba(style.color)), light(under(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) weak.push(`${e.className} ${e.textContent.trim().slice(0, 30)} ${((a + .05) / (b + .05)).toFixed(2)}`);
  }
  return weak;
}"""
