"""The report in a real browser, opened from disk: a small one with everything embedded, and one of 2,700 questions."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from report_world import HOSTILE, World

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
LARGE = 2700


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def _world(folder, *options, **settings):
    world = World(folder, real_videos=True, **settings)
    report = world.report("r.html", "--cache", str(folder / "cache"), "--workers", "1", *options)
    return SimpleNamespace(world=world, url=report.as_uri(), rows=world.rows())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return _world(tmp_path_factory.mktemp("small"), hostile=True, budgets=(4, 8))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return _world(tmp_path_factory.mktemp("large"), "--embed", "100000", n=LARGE)


@pytest.fixture(params=["small", "large"])
def report(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def visit(browser):
    """Open a page; whatever it complains of, or asks the network for, fails the test."""
    contexts, wrong = [], []

    def opened(url, **settings):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else wrong.append(request.url),
        )
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(url)
        page.wait_for_selector("#cards article")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def _count(page):
    return int(page.inner_text("#count").split()[0])


def _look_at_the_gallery(page):
    page.locator("#cards article").first.scroll_into_view_if_needed()
    page.locator("#cards article .thumbs img").first.wait_for()


def _choose(page, field, value):
    page.select_option(field, value)
    page.wait_for_timeout(100)


def test_it_loads_and_draws_without_an_error(report, visit):
    page = visit(report.url)
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    _look_at_the_gallery(page)
    assert page.locator("#cards article svg.strip").first.is_visible()
    assert page.evaluate("[...document.querySelectorAll('.thumbs img')].slice(0, 4).every(image => image.complete)")
    assert page.evaluate("document.querySelector('.thumbs img').naturalWidth") == 128
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_large_report_starts_with_a_page_and_loads_the_rest_when_it_is_looked_at(large, visit):
    page = visit(large.url)
    assert page.locator("#cards article").count() == 10
    assert page.inner_text(".pager .page").startswith(f"Page 1 of {LARGE // 10}")
    assert page.locator("script[src]").count() <= 4
    page.get_by_role("button", name="Last").first.click()
    page.locator("#cards article").last.scroll_into_view_if_needed()
    page.locator("#cards article ol.options").last.wait_for()
    assert page.locator("script[src*='/q26.js']").count() == 1
    assert f"q{LARGE - 1:04d}" in page.inner_text("#cards")


def test_a_heading_sorts_its_table_up_and_down(report, visit):
    page = visit(report.url)
    head = page.locator("#rows th[data-column=accuracy]").first
    expected = sorted((row["accuracy"] for row in report.rows), key=float)
    place = head.evaluate("head => [...head.parentNode.children].indexOf(head)")

    def shown():
        return page.eval_on_selector_all("#rows tbody tr", f"rows => rows.map(row => row.cells[{place}].dataset.sort)")

    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    assert (head.get_attribute("aria-sort"), shown()) == ("ascending", expected)
    head.get_by_role("button").click()
    assert (head.get_attribute("aria-sort"), shown()) == ("descending", expected[::-1])


def test_words_filter_the_rows_of_a_table(report, visit):
    page = visit(report.url)
    page.fill(".row-filter[data-table=rows]", "topk clip")
    assert page.locator("#rows tbody tr:visible").count() == sum(row["method"] == "topk" for row in report.rows)
    page.get_by_role("button", name="All columns").first.click()
    assert page.locator("#rows th[data-column=n_paired]").is_visible()


def test_filters_find_the_questions_that_only_the_method_answers_right(report, visit):
    judged = report.world.judged
    found = [
        name
        for name in report.world.ids
        if all(name in judged[cell].questions for cell in ("uniform-4", "aks-4"))
        and judged["aks-4"].questions[name].correct
        and not judged["uniform-4"].questions[name].correct
    ]
    page = visit(report.url)
    assert _count(page) == report.world.n
    _choose(page, "#f-row", "1")
    _choose(page, "#f-outcome", "gain")
    assert _count(page) == len(found)
    assert page.locator("#cards article h3 a").first.inner_text() == found[0]
    _choose(page, "select[data-grouping=duration]", "1")
    assert _count(page) == sum(int(name[1:]) % 3 == 1 for name in found)
    page.reload()
    page.wait_for_selector("#cards article")
    assert _count(page) == sum(int(name[1:]) % 3 == 1 for name in found)
    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_timeout(100)
    assert _count(page) == report.world.n


def test_filters_find_disagreement_and_text(report, visit):
    judged = [cell.questions for cell in report.world.judged.values()]
    split = [
        name
        for name in report.world.ids
        if len({questions[name].correct for questions in judged if name in questions}) == 2
    ]
    page = visit(report.url)
    _choose(page, "#f-outcome", "disagree")
    assert _count(page) == len(split)
    page.get_by_role("button", name="Clear filters").click()
    page.fill("#f-text", "Q0010")
    page.wait_for_timeout(300)
    assert page.locator("#cards article h3 a").all_inner_texts() == ["q0010"]


def test_a_link_leads_to_its_question(report, visit):
    page = visit(report.url + "#q=q0010")
    assert page.locator("#cards article").count() == 1
    assert page.locator("#cards article h3 a").get_attribute("href") == "#q=q0010"
    page.locator("ol.options .answer").wait_for()
    assert "✓ right answer" in page.inner_text("ol.options .answer")
    page.get_by_role("button", name="Next question").first.click()
    assert page.url.endswith("#q=q0011")
    page.get_by_role("button", name="All questions").first.click()
    assert page.locator("#cards article").count() == 10
    page.locator("#cards article h3 a").nth(2).click()
    assert page.locator("#cards article h3 a").all_inner_texts() == ["q0002"]


def test_a_link_to_no_question_says_so(small, visit):
    page = visit(small.url + "#q=" + "nothing")
    assert "There is no question “nothing”" in page.inner_text("#count")
    assert page.locator("#cards article").count() == 10


def test_pages_are_turned(report, visit):
    page = visit(report.url)
    assert page.get_by_role("button", name="Previous").first.is_disabled()
    page.get_by_role("button", name="Next").first.click()
    assert page.locator("#cards article h3 a").first.inner_text() == "q0010"
    assert "page=2" in page.url
    _choose(page, "#f-size", "25")
    assert page.locator("#cards article").count() == min(25, report.world.n)


@pytest.mark.parametrize("system", ["light", "dark"])
def test_the_theme_is_that_of_the_system_until_it_is_toggled(small, visit, system):
    page = visit(small.url, color_scheme=system)

    def theme():
        return page.evaluate("document.documentElement.dataset.theme")

    assert theme() == system
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert theme() != system
    assert page.get_attribute("#theme", "aria-pressed") == str(system == "light").lower()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != back
    page.reload()
    assert theme() != system


def test_everything_is_reached_by_keyboard(small, visit):
    page = visit(small.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.parentNode.dataset.column || ''") == "method":
            break
    page.keyboard.press("Enter")
    assert page.get_attribute("#rows th[data-column=method]", "aria-sort") == "ascending"
    page.focus("#f-size")
    next_button = page.get_by_role("button", name="Next").first
    for _ in range(12):
        page.keyboard.press("Tab")
        if next_button.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.querySelector('h3').textContent") == "Question q0010"


def test_everything_has_a_name_for_screen_readers(report, visit):
    page = visit(report.url)
    _look_at_the_gallery(page)
    assert page.evaluate("document.documentElement.lang") == "en"
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, img, [role=img], [role=region], [role=group]')]
        .filter(node => !node.closest('.js-plotly-plot'))
        .filter(node => !(node.textContent.trim() && node.tagName === 'BUTTON') && !node.getAttribute('aria-label')
                        && !node.getAttribute('alt') && !(node.labels && node.labels.length))
        .map(node => node.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert page.locator("img").first.get_attribute("alt") == "Frame 0 at 0.0 s"
    label = page.locator("svg.strip").first.get_attribute("aria-label")
    assert "uniform" in label
    assert "evidence from 3.0 s to 5.0 s" in label
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
    assert len(ids) == len(set(ids))


def test_hostile_texts_stay_texts(small, visit):
    page = visit(small.url)
    page.get_by_role("button", name="Next").first.click()
    page.get_by_role("button", name="Previous").first.click()
    _look_at_the_gallery(page)
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    page.goto(small.url + "#q=q0000&text=<img src=x onerror=window.bad=1>")
    page.wait_for_timeout(300)
    assert page.evaluate("window.bad") is None
    assert page.inner_text("#cards .question") == HOSTILE
    assert HOSTILE in page.inner_text("ol.options")
    assert page.locator("img[src=x]").count() == 0


def test_a_script_that_slipped_in_would_not_run(small, browser):
    """The policy of the page, should a text become markup after all."""
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(small.url)
    page.evaluate("""() => {
        document.body.insertAdjacentHTML('beforeend', '<b id=slip onclick="window.bad=1">x</b>');
        const script = document.createElement('script');
        script.textContent = 'window.bad = 1';
        document.body.append(script);
        document.getElementById('slip').click();
    }""")
    assert page.evaluate("window.bad") is None
    assert any("Content Security Policy" in text for text in said)
    page.close()


def test_a_folder_that_was_left_behind_is_named(large, browser, tmp_path):
    copied = shutil.copy(large.world.folder / "r.html", tmp_path / "alone.html")
    page = browser.new_page()
    page.goto(Path(copied).as_uri())
    page.locator("#cards article").first.scroll_into_view_if_needed()
    page.locator("#cards .note").first.wait_for()
    assert "r_files/q0.js is not beside this page" in page.inner_text("#cards")
    page.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(report, visit, width):
    page = visit(report.url, viewport={"width": width, "height": 800})
    _look_at_the_gallery(page)
    page.get_by_role("button", name="All columns").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_numbers_on_screen_are_those_of_the_csv(report, visit):
    page = visit(report.url)
    with open(report.world.folder / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    shown = page.locator("#rows tbody tr").all_inner_texts()
    for row, text in zip(rows, shown, strict=True):
        assert f"{100 * float(row['accuracy']):.1f} ({100 * float(row['accuracy_low']):.1f} to" in text
        if row["difference"]:
            assert f"{100 * float(row['difference']):+.1f}" in text
