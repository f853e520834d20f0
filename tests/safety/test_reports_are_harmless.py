"""What labels, configuration and models say is shown in reports and tables, and is never HTML, JavaScript or LaTeX."""

import re
import shutil

import pytest

from framesift.answering.answer_file import read_answers, write_answers
from framesift.tables.markdown_latex import escape_latex
from framesift.tables.terminal import read_table
from report_world import HOSTILE, World

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = f"""{HOSTILE}<a href="javascript:window.bad=1">x</a><svg onload=window.bad=1>""" + (
    r"""{{7*7}}{% raw %}]]>\input{/etc/passwd}$^&%#_~|"""
)
FORMULA = "=cmd|' /C calc'!A0"


class HostileWorld(World):
    """Hostile ids, groups, names of methods, scorers and answerers, and answers."""

    def _write_labels(self, hostile):
        ids = [f"{name} {EVIL}" for name in self.ids]
        self.texts = dict(zip(ids, self.texts.values(), strict=True))
        self.ids = ids
        self.spec["group_by"] = "kind"
        self.spec["dataset"] = f"d {EVIL}"
        super()._write_labels(hostile)

    def _cell(self, method, scorer, *rest, **options):
        super()._cell(method, scorer, *rest, **options)
        cell = self.spec["cells"][-1]
        cell["answerer"] = f"vlm {EVIL}"
        cell["scorer"] = scorer and f"{scorer} {EVIL}"
        cell["method"] = method if method == "uniform" else f"{FORMULA} {method} {EVIL}"
        [path] = cell["answers"]
        answers = read_answers(path)
        said = {name: one.model_copy(update={"response": one.response and EVIL}) for name, one in answers.items()}
        write_answers(path, said, {})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return HostileWorld(tmp_path_factory.mktemp("hostile"), hostile=True, real_videos=True, budgets=(4,))


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("embed", ["100000", "0"])
def test_nothing_of_it_runs_in_a_browser(world, embed):
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    page_file = world.report(
        f"r{embed}.html", "--cache", str(world.folder / "cache"), "--workers", "1", "--embed", embed
    )
    wrong = []
    with sync_api.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(15_000)
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
        page.goto(page_file.as_uri())
        page.locator("#cards article").first.scroll_into_view_if_needed()
        page.wait_for_selector("#cards article")
        page.locator("#figures").scroll_into_view_if_needed()
        page.wait_for_selector(".plot svg")
        page.fill("#f-text", "q0001")
        page.wait_for_timeout(500)
        assert page.evaluate("window.bad") is None
        assert "javascript:window.bad=1" in page.inner_text("#cards")
        # what the texts would have made, were they read as HTML
        assert page.locator("a[href]:not([href^='#'])").count() == 0
        assert page.locator("[onerror], [onload], img[src=x], iframe, object, embed").count() == 0
        browser.close()
    assert wrong == []


def test_latex_and_markdown_read_nothing_of_it_as_their_own(world):
    import make_table

    world.call(
        make_table, "--spec", f"@{world.folder / 'table.json'}", "--out", "t.csv", "--groups-out", "g.csv",
        "--timings-out", "s.csv", "--latex-out", str(world.folder / "t.tex"),
        "--markdown-out", str(world.folder / "t.md"), inputs=("labels", "videos", "judged"),
    )  # fmt: skip
    latex = (world.folder / "t.tex").read_text()
    commands = set(re.findall(r"\\([A-Za-z]+)", latex))
    known = {"usepackage", "begin", "end", "centering", "small", "caption", "label", "toprule", "midrule", "bottomrule"}
    assert commands <= known | {"multicolumn", "emph", *re.findall(r"\\([a-z]+)", escape_latex('\\~^<>|"'))}
    assert "input{" not in latex.replace("\\{", "{").replace("textbackslash{}input", "")
    markdown = (world.folder / "t.md").read_text()
    unescaped = re.sub(r"\\[\\`*_{}\[\]<>|#~]", "", markdown)
    assert not re.search(r"[<>\[\]`]", unescaped)
    rows = [line for line in unescaped.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1


def test_csv_keeps_names_as_they_are(world):
    """A cell that a spreadsheet would take for a formula stays what it is: tables are joined by these names."""
    methods = {row["method"] for row in read_table(world.folder / "t.csv")}
    assert f"{FORMULA} aks {EVIL}" in methods
