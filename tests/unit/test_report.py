"""Figures and the report: their numbers are those of the table's files, and no text of the data becomes markup."""

import base64
import io
import json
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import compare_published
import make_report
from framesift.core.errors import InputError
from framesift.report import figures, gallery, thumbnails
from framesift.report.figure_data import front, seconds_columns
from framesift.report.gallery import curve
from framesift.report.interactive import pictures
from framesift.report.page import evenly, inert, table_view, write_page
from framesift.report.style import looks
from framesift.report.summary import summary
from framesift.report.training import read_curve
from framesift.scoring.score_table import QuestionScores
from framesift.storage.files import write_json
from framesift.tables.columns import write_csv
from framesift.tables.rows import verdict
from framesift.video.table import Video, write_videos
from report_world import HOSTILE, World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"), budgets=(4, 8))


@pytest.fixture(scope="module")
def inputs(world):
    return world.inputs()


class Page(HTMLParser):
    """Tables by id, scripts of data by id, and every tag of a page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.data, self.tags = {}, {}, []
        self._table = self._row = self._script = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag == "table":
            self._table = self.tables.setdefault(given.get("id"), {"columns": [], "rows": []})
        elif tag == "th" and self._table is not None and "data-column" in given:
            self._table["columns"].append(given["data-column"])
        elif tag == "tr" and self._table is not None:
            self._row = []
            self._table["rows"].append(self._row)
        elif tag == "td" and self._row is not None and "data-sort" in given:
            self._row.append(given["data-sort"])
        elif tag == "script":
            self._script = given.get("id")

    def handle_endtag(self, tag):
        self._script = None if tag == "script" else self._script

    def handle_data(self, data):
        if self._script:
            self.data[self._script] = self.data.get(self._script, "") + data


CURVES = """step,stage,task,loss,lr,ndcg,recall,evidence_recall
1,1,importance,0.9,0.1,,,
2,1,instruction,3.0,0.1,,,
3,1,importance,0.7,0.1,,,
3,1,validation,0.6,0.1,0.5,0.25,
1,2,importance,0.5,0.1,,,
2,2,importance,0.3,0.1,,,
2,2,validation,0.4,0.1,0.75,0.5,
"""


@pytest.fixture
def trained(inputs, tmp_path):
    (tmp_path / "curves.csv").write_text(CURVES)
    return replace(inputs, training={"<b>mine": read_curve(tmp_path / "curves.csv")})


# The report


def test_curves_of_a_training_go_on_over_its_stages(trained):
    [curve] = trained.training.values()
    assert curve.stages == [1, 4]
    assert curve.losses == {"importance": [(5, pytest.approx(0.6))], "instruction": [(2, 3.0)]}
    assert curve.validation == {
        "loss": [(3, 0.6), (5, 0.4)],
        "ndcg": [(3, 0.5), (5, 0.75)],
        "recall": [(3, 0.25), (5, 0.5)],
    }


def test_curves_are_drawn_on_the_page_and_as_files(trained, inputs, tmp_path):
    [picture] = [picture for picture in pictures(trained) if picture.name.startswith("training")]
    header = ("step", "importance", "instruction", "importance, held out", "NDCG", "recall at k")
    assert picture.header == header
    assert picture.numbers == (
        ("3", "", "", "0.6000", "0.5000", "0.2500"),
        ("5", "0.6000", "", "0.4000", "0.7500", "0.5000"),
    )
    traces = {trace["name"]: trace for trace in picture.data["data"]}
    assert set(traces) == set(header[1:])
    assert traces["NDCG"]["y"] == [0.5, 0.75]
    assert traces["NDCG"]["yaxis"] == "y2"
    write_page(trained, tmp_path / "page.html", None)
    assert "<b>mine" not in (tmp_path / "page.html").read_text()
    files = {file.name for file in figures.write_figures(trained, tmp_path / "drawn")}
    assert {"training.svg", "training.png"} <= files
    assert "training" not in dict(figures.figures(inputs))


def test_a_file_that_is_no_curve_is_refused_and_a_missing_one_is_none(tmp_path):
    assert read_curve(tmp_path / "none.csv") is None
    (tmp_path / "bad.csv").write_text(CURVES.replace("0.3", "low"))
    with pytest.raises(InputError, match=r"line 7: is no row of a training"):
        read_curve(tmp_path / "bad.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"line 2: is no row"):
        read_curve(tmp_path / "other.csv")


def test_every_number_of_the_tables_is_that_of_the_csv(world):
    page = Page(world.report().read_text())
    for table, file in (("rows", "t.csv"), ("group-rows", "g.csv"), ("timing-rows", "s.csv")):
        columns = page.tables[table]["columns"]
        shown = [row for row in page.tables[table]["rows"] if row]
        expected = world.rows(file)
        assert len(shown) == len(expected)
        assert set(expected[0]) <= set(columns)
        for row, cells in zip(expected, shown, strict=True):
            for column, text in zip(columns, cells, strict=True):
                if column in row:
                    assert text == row[column]


def test_outcomes_in_the_gallery_add_up_to_the_accuracy_of_the_csv(world, inputs):
    found = gallery.index(inputs)
    for place, row in enumerate(world.rows()):
        codes = [question[4][place] for question in found["questions"]]
        answered = [code for code in codes if code != gallery.EXCLUDED]
        assert len(answered) == int(row["n"])
        assert codes.count(gallery.UNPARSED) == int(row["unparsed"])
        assert codes.count(gallery.RIGHT) / len(answered) == pytest.approx(float(row["accuracy"]), abs=5e-5)
    names = [cell["name"] for cell in found["cells"]]
    assert names == ["uniform", "aks with clip", "topk with clip"] * 2
    assert [cell["baseline"] for cell in found["cells"]] == [None, 0, 0, None, 3, 3]
    assert {question[3][0] for question in found["questions"]} == {0, 1, 2}


def test_details_hold_what_each_method_chose_and_said(inputs):
    question = inputs.questions["q0000"]
    details = gallery.details(inputs, question)
    assert details["choices"][1]["frames"] == [0, 2, 4, 6]
    assert details["evidence"]["spans"] == [[3.0, 5.0]]
    assert details["scores"][0]["scorer"] == "clip"
    assert max(details["scores"][0]["y"]) == 100
    assert len(details["answers"]) == len(inputs.cells)
    last = gallery.details(inputs, inputs.questions["q0022"])
    assert last["choices"][2]["error"] == "scores: none" or last["answers"][2]["response"] == "perhaps"
    assert gallery.details(inputs, inputs.questions["q0001"])["scores"][0]["error"] == "no text"


def test_a_long_score_curve_keeps_its_peak():
    n = 5000
    video = Video("v", "v.mp4", duration=float(n), frames=list(range(n)), times=[float(t) for t in range(n)])
    values = [0.0] * n
    values[3456] = 2.5
    made = curve(QuestionScores("q", "v", None, list(range(n)), values), video)
    assert len(made["x"]) == len(made["y"]) <= gallery.POINTS
    assert made["x"][made["y"].index(100)] == 691
    assert (made["low"], made["high"], made["candidates"]) == (0.0, 2.5, n)


def test_a_curve_without_usable_scores_says_why():
    video = Video("v", "v.mp4", duration=2.0, frames=[0, 1], times=[0.0, 1.0])
    assert "other candidate" in curve(QuestionScores("q", "v", None, [0], [1.0]), video)["error"]
    assert "finite" in curve(QuestionScores("q", "v", None, [0, 1], [float("nan")] * 2), video)["error"]
    assert curve(QuestionScores("q", "v", None, [0, 1], [3.0, 3.0]), video)["y"] == [0, 0]


def test_no_text_of_the_data_becomes_markup(tmp_path):
    page = Page(World(tmp_path, hostile=True).report().read_text())
    assert not [given for tag, given in page.tags if tag == "img" or any(name.startswith("on") for name in given)]
    scripts = [given for tag, given in page.tags if tag == "script"]
    assert not [given for given in scripts if given.get("src")]
    found = json.loads(page.data["index"])
    assert HOSTILE in [question[2] for question in found["questions"]]
    assert HOSTILE in found["groupings"]["kind"]
    assert HOSTILE in json.loads(page.data["piece-q0"])[0]["options"]


@pytest.mark.parametrize("text", [HOSTILE, "a\u2028b\u2029", "<!-- <script>"])
def test_inert_json_has_no_letter_of_markup_and_is_the_same_value(text):
    made = inert({text: [text]})
    assert not set("<>&\u2028\u2029") & set(made)
    assert json.loads(made) == {text: [text]}


def test_only_scripts_of_ours_may_run(world):
    text = world.report().read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text.split("<script>")[0])


def test_published_numbers_stand_beside_ours(world, tmp_path):
    file = tmp_path / "published.csv"
    row = dict.fromkeys(compare_published.COLUMNS, "") | {
        "method": "aks", "budget": "8", "ours": "65.0", "theirs": "65.3", "difference": "-0.3", "within": "True",
        "comparable": "False", "reasons": HOSTILE, "paper": "tang2025aks",
    }  # fmt: skip
    write_csv(file, compare_published.COLUMNS, [row])
    table = Page(world.report("p.html", "--published", str(file)).read_text()).tables["published-rows"]
    [values] = filter(None, table["rows"])
    shown = dict(zip(table["columns"], values, strict=True))
    assert shown == {name: str(value) for name, value in row.items()}
    assert "published-rows" not in Page(world.report().read_text()).tables


def test_the_same_input_gives_the_same_report(world):
    first = world.report("a.html").read_bytes()
    second = world.report("b.html").read_bytes()
    assert first.replace(b"a_files", b"b_files") == second


def test_what_is_too_much_lies_beside_the_page(world):
    page = world.report("big.html", "--embed", "0")
    folder = page.with_name("big_files")
    assert [file.name for file in folder.iterdir()] == ["q0.js"]
    assert "piece-q0" not in Page(page.read_text()).data
    assert (folder / "q0.js").read_text().startswith('framesiftPiece("q0",[')
    world.report("big.html")
    assert not list(folder.iterdir())


def test_a_table_of_another_spec_is_refused(world, tmp_path):
    other = json.loads((world.folder / "spec.json").read_text())
    other["table"]["cells"] = other["table"]["cells"][:-1]
    write_json(tmp_path / "spec.json", other)
    with pytest.raises(InputError, match="has other rows than its spec"):
        world.call(make_report, "--spec", f"@{tmp_path / 'spec.json'}", "--out", str(tmp_path / "r.html"))


# Words


def _words(inputs):
    return " ".join(sentence for section in summary(inputs) for sentence in section.sentences)


def test_the_summary_counts_what_the_table_counts(world, inputs):
    words = _words(inputs)
    assert "24 questions about 6 videos" in words
    excluded = sum(int(row["excluded"]) for row in world.rows())
    unparsed = sum(int(row["unparsed"]) for row in world.rows())
    assert excluded == unparsed == 2
    assert f"{excluded} of 144 answers are excluded" in words
    assert f"{unparsed} of 144 answers name no option; they count as wrong" in words
    assert "without an interval or a verdict: answers changed in fewer than 10 videos" in words
    baseline = world.rows()[0]
    assert f"Baseline uniform: {100 * float(baseline['accuracy']):.1f} % of {baseline['n']} answers right" in words


def test_the_summary_names_verdicts_and_flags(inputs):
    rows = [dict(row) for row in inputs.rows]
    for row in rows:
        row["verdict"] = "" if row["method"] == "uniform" else "better" if row["method"] == "aks" else "worse"
    rows[1]["flag"] = "same pixels"
    object.__setattr__(inputs, "rows", rows)
    words = _words(inputs)
    assert "1 of 2 better than the baseline: aks with clip" in words
    assert "1 of 2 worse than the baseline: topk with clip" in words
    assert "Flagged: aks with clip, vlm, 4 frames: same pixels." in words


@pytest.mark.parametrize(
    ("low", "high", "p", "said"),
    [
        ("0.01", "0.10", "0.0100", "better"),
        ("-0.10", "-0.01", "0.0100", "worse"),
        ("0.00", "0.10", "0.0100", "no evidence"),
        ("0.01", "0.10", "0.2000", "no evidence"),
        ("", "", "0.0100", "no evidence"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero_and_a_small_p(low, high, p, said):
    row = {"difference": "0.05", "difference_low": low, "difference_high": high, "p_value": p}
    assert verdict(row) == said
    assert verdict(row | {"verdict": "as the table says"}) == "as the table says"
    assert verdict(row | {"difference": ""}) == ""


# Figures


def test_figures_are_there_with_titles_and_units(world):
    folder = world.figures()
    names = {file.stem for file in folder.glob("*.svg")}
    assert names == {file.stem for file in folder.glob("*.png")}
    assert {"accuracy_by_budget", "accuracy_by_cost", "gain_by_duration", "overlap_4", "overlap_8"} <= names
    assert any(name.startswith("score_curve_") for name in names)
    for file in folder.glob("*.svg"):
        assert "<dc:title>" in file.read_text()


def test_every_figure_has_a_title_and_labels_on_its_axes(world):
    for name, figure in figures.figures(world.inputs()):
        assert figure.get_suptitle(), name
        axes = [axis for axis in figure.axes if axis.get_visible()]
        said = " ".join([*(axis.get_xlabel() for axis in axes), figure.get_supxlabel()])
        assert any(axis.get_ylabel() for axis in axes), name
        assert re.search(r"frames\)|points\)|[Ss]econds|\(s\)|Method", said), (name, said)


def test_the_line_of_a_figure_is_that_of_the_csv(world):
    made = dict(figures.figures(world.inputs()))["accuracy_by_budget"]
    lines = {line.get_label(): line.get_ydata() for line in made.axes[0].get_lines()}
    for name in ("uniform", "aks with clip"):
        expected = [100 * float(row["accuracy"]) for row in world.rows() if name.startswith(row["method"])]
        assert list(lines[name]) == pytest.approx(expected)


def test_the_same_table_gives_the_same_figures(world):
    first, second = world.figures("one"), world.figures("two")
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes(), file.name


def test_a_figure_without_numbers_is_not_made(tmp_path):
    folder = World(tmp_path, n=8).figures()
    assert not (folder / "accuracy_by_budget.svg").exists()


def test_a_question_that_is_asked_for_gets_its_curve(world):
    folder = world.figures("asked", "--question", "q0000")
    assert (folder / "score_curve_q0000.svg").is_file()
    with pytest.raises(InputError, match="is not a question of the labels"):
        world.figures("asked", "--question", "q9999")


def test_dollars_in_a_question_are_no_formula(tmp_path):
    world = World(tmp_path, n=8)
    labels = json.loads((tmp_path / "labels.json").read_text())
    labels[0]["normalised"]["question"] = r"Is it $5 or $\frac{?"
    write_json(tmp_path / "labels.json", labels)
    assert (world.figures("f", "--question", "q0000") / "score_curve_q0000.png").is_file()


def test_no_two_series_look_alike():
    made = looks([f"m{k}" for k in range(40)], "m0")
    assert len(set(made.values())) == 40


def test_the_front_has_no_point_that_another_beats():
    assert front([(1, 50), (2, 40), (3, 60), (3, 55), (4, 60)]) == [(1, 50), (3, 60)]


def test_a_part_of_the_cost_that_is_not_known_of_every_row_is_left_out():
    row = {"scorer": "", "scoring_seconds": "", "seconds_per_question": "1.0"}
    scored = row | {"scorer": "clip", "scoring_seconds": "2.0"}
    assert seconds_columns([row, scored]) == ["scoring_seconds", "seconds_per_question"]
    assert seconds_columns([row, scored, scored | {"scoring_seconds": ""}]) == ["seconds_per_question"]


def test_a_table_view_keeps_columns_it_does_not_know():
    rows = [{"method": "aks", "accuracy": "0.5", "accuracy_low": "", "accuracy_high": "", "new": "7", "difference": ""}]
    view = table_view(rows, None)
    assert ("new", "7") in [(field["key"], field["sort"]) for field in view["rows"][0]["fields"]]


# Thumbnails


def test_thumbnails_are_made_once_a_video_and_show_the_frame(tmp_path, monkeypatch):
    world = World(tmp_path, n=8, real_videos=True)
    page = Page(world.report("r.html", "--cache", str(tmp_path / "cache"), "--workers", "1").read_text())
    pictures = json.loads(page.data["piece-v0"])
    assert {"0", "7", "14", "21"} <= set(pictures)
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures["7"]))).convert("L"), dtype=float)
    assert image.shape == (96, thumbnails.WIDTH)
    assert image.mean() == pytest.approx(56, abs=6)
    kept = list((tmp_path / "cache").rglob("*.zip"))
    assert [file.stem for file in kept] == [world.videos[0].digest]  # two ids, one file

    def never(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(thumbnails, "map_isolated", never)
    assert json.loads(Page(world.report("s.html", "--cache", str(tmp_path / "cache")).read_text()).data["piece-v0"])


def test_frames_that_are_wanted_later_are_added_to_those_that_are_kept(tmp_path):
    video = World(tmp_path, n=4, real_videos=True).videos[0]
    cache = tmp_path / "cache"
    assert thumbnails.make_all([video], {"v0": [3]}, cache, 1) == {}
    first = thumbnails.pictures(video, [3], cache)
    assert thumbnails.make_all([video], {"v0": [3, 9]}, cache, 1) == {}
    both = thumbnails.pictures(video, [3, 9, 999], cache)
    assert set(both) == {3, 9}
    assert both[3] == first[3]


def test_a_broken_video_costs_its_thumbnails_only(tmp_path):
    world = World(tmp_path, n=8, real_videos=True)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video")
    whole = world.videos[0]
    bad = Video(**{**vars(world.videos[1]), "path": str(broken), "digest": "0" * 64})
    write_videos(tmp_path / "videos.parquet", [whole, bad], {})
    page = Page(world.report("r.html", "--cache", str(tmp_path / "cache"), "--workers", "1").read_text())
    found = json.loads(page.data["index"])
    assert found["videos"] == {"v0": "v0"}
    assert "decoding failed" in found["faults"]["v1"]
    assert len(found["questions"]) == 8


def test_a_damaged_cache_is_made_again(tmp_path):
    video = World(tmp_path, n=4, real_videos=True).videos[0]
    cache = tmp_path / "cache"
    thumbnails.make_all([video], {"v0": [3]}, cache, 1)
    file = next(cache.rglob("*.zip"))
    file.write_bytes(file.read_bytes()[:40])
    assert thumbnails.make_all([video], {"v0": [3]}, cache, 1) == {}
    with zipfile.ZipFile(file) as kept:
        assert len(kept.namelist()) == 1


def test_frames_are_thinned_evenly():
    assert evenly(list(range(10)), 4) == [0, 3, 6, 9]
    assert evenly([5, 6], 4) == [5, 6]
    assert evenly([5, 6], 1) == [5]
