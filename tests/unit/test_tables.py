"""Tables: statistics against formulas of their own, joins, guards, and files that are the same to the byte."""

import csv
import io
import json
import logging
import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import make_table
import show_table
from framesift.answering.answer_file import Answer, write_answers
from framesift.core.errors import InputError
from framesift.judging.verdict_file import JudgedCell, Verdict, write_judged
from framesift.program import cli
from framesift.scoring.score_table import write_scores
from framesift.selection.select_frames import Selected, write_selection
from framesift.storage.files import write_json
from framesift.tables import columns
from framesift.tables import markdown_latex as written
from framesift.tables import terminal as display
from framesift.tables.flags import SAME_PIXELS, SIMILAR_ANSWERS
from framesift.tables.statistics import accuracy_interval, difference_interval, difference_p_value, seed_of
from framesift.video.table import Video, write_videos

# Statistics


@settings(deadline=None)  # the first example loads statsmodels
@given(st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_its_closed_form(counts):
    correct, n = counts
    if n == 0:
        assert accuracy_interval(0, 0) is None
        return
    z, p = 1.959963984540054, correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = accuracy_interval(correct, n)
    assert low == pytest.approx(centre - half, abs=1e-9)
    assert high == pytest.approx(centre + half, abs=1e-9)
    assert -1e-12 <= low <= p + 1e-12
    assert p - 1e-12 <= high <= 1 + 1e-12


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_sum_of_binomials(gained, lost):
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1)) / 2**n
    assert difference_p_value(gained, lost) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)
    assert difference_p_value(gained, lost) == difference_p_value(lost, gained)


def test_mcnemar_by_hand():
    assert difference_p_value(0, 0) == 1
    assert difference_p_value(5, 0) == pytest.approx(2 / 32)
    assert difference_p_value(4, 1) == pytest.approx(2 * 6 / 32)


def _clustered(n_videos, per_video, shared, seed=0):
    rng = np.random.default_rng(seed)
    videos, differences = [], []
    for video in range(n_videos):
        common = rng.choice([-1, 0, 1], p=[0.2, 0.4, 0.4])
        for _ in range(per_video):
            own = rng.choice([-1, 0, 1], p=[0.2, 0.4, 0.4])
            videos.append(f"v{video}")
            differences.append(int(common if rng.random() < shared else own))
    return videos, differences


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_the_interval_of_a_difference_is_near_the_clustered_normal_approximation(shared):
    videos, differences = _clustered(200, 4, shared)
    means = np.array(differences, float).reshape(200, 4).mean(axis=1)
    half = 1.96 * means.std(ddof=1) / math.sqrt(200)
    low, high = difference_interval(videos, differences)
    assert low == pytest.approx(means.mean() - half, abs=0.08 * half)
    assert high == pytest.approx(means.mean() + half, abs=0.08 * half)


def test_the_interval_of_repeated_questions_is_no_narrower():
    """Asking each question of a video four times adds no information; counting questions would halve the interval."""
    videos, differences = _clustered(100, 1, 1.0)
    once = difference_interval(videos, differences)
    assert difference_interval(videos * 4, differences * 4) == pytest.approx(once)


@given(st.lists(st.tuples(st.integers(0, 15), st.sampled_from([-1, 0, 1])), min_size=1, max_size=60), st.randoms())
def test_the_interval_of_a_difference_knows_no_order(rows, shuffler):
    before = difference_interval(*zip(*rows, strict=True))
    shuffler.shuffle(rows)
    assert difference_interval(*zip(*rows, strict=True)) == before
    if before is not None:
        assert -1 <= before.low <= np.mean([change for _, change in rows]) <= before.high <= 1


def test_seeds():
    assert seed_of(0, "a", 8) == seed_of(0, "a", 8)
    assert len({seed_of(0, "a", 8), seed_of(1, "a", 8), seed_of(0, "b", 8), seed_of(0, "a", 16)}) == 4


# Files


class World:
    """Input files of a table in a folder, and the program that makes it."""

    def __init__(self, folder, n=4, videos=2):
        self.folder = folder
        self.n, self.videos = n, videos
        self.evidence = None
        self.max_excluded = 1.0
        self.judged = {}
        self.spec = {"table": "t", "dataset": "d", "protocol": "fair", "baseline": "uniform", "seed": 0, "cells": []}
        self.ids = [f"q{k:02d}" for k in range(n)]
        self.video_rows = [Video(f"v{k}", "v.mp4", fps=10.0, n_frames=100, duration=10.0) for k in range(videos)]
        self.write_labels()

    def video(self, question_id):
        return f"v{self.ids.index(question_id) % self.videos}"

    def write_labels(self, ids=None):
        records = [
            {
                "question_id": question_id,
                "normalised": {
                    "question_id": question_id,
                    "video_id": self.video(question_id),
                    "question": "?",
                    "options": ["one", "two"],
                    "answer": "A",
                    "groups": {"duration": "long" if self.ids.index(question_id) % 2 else "short"},
                },
            }
            for question_id in ids or self.ids
        ]
        write_json(self.folder / "labels.json", records)

    def cell(
        self, letters, method="uniform", scorer=None, budget=4, answerer="vlm", frames=None, chunks=1, pixels=None,
        shown=None, run=False, **showing,
    ):  # fmt: skip
        """Add a cell.

        Letters: A is right, B wrong, - names no option, ? is not judged, x was not selected, e could not be asked.
        """
        stem = "-".join(str(part) for part in (answerer, method, scorer, budget, *showing.values()))
        selection, answers, verdicts = {}, {}, {}
        for number, question_id in enumerate(self.ids):
            letter, video_id = letters[number], self.video(question_id)
            chosen = [] if letter == "x" else list((frames or (lambda number: [0, 10, 20, 30]))(number))
            times = [frame / 10 for frame in chosen]
            error = {"x": "scores: none", "e": "video: broken"}.get(letter)
            selection[question_id] = Selected(
                video_id=video_id, error=error if letter == "x" else None, frames=chosen, times=times
            )
            if error:
                answers[question_id] = Answer(video_id=video_id, error=error)
                continue
            parsed = None if letter in "-?" else letter
            answers[question_id] = Answer(
                video_id=video_id,
                response=letter,
                frames_given=[] if run else (shown or (lambda number, chosen: chosen))(number, chosen),
                times_given=[] if run else times,
                pixels=pixels(number) if pixels else "",
                key=f"{question_id} {chosen} {showing}",
                usage={"tokens": 10},
                seconds=0.25 * (number + 1),
            )
            correct = None if letter == "?" else letter == "A"
            verdicts[question_id] = Verdict(
                answer="A", parsed=parsed, correct=correct, task_correct=letter in "A-" if correct is not None else None
            )
        paths = [self.folder / f"{stem}-{chunk}.json" for chunk in range(chunks)]
        write_selection(self.folder / f"{stem}.json", selection, {})
        for chunk, path in enumerate(paths):
            part = {question_id: answers[question_id] for question_id in self.ids[chunk::chunks]}
            write_answers(path, part, {})
        made = {"id": stem, "answerer": answerer, "method": method, "scorer": scorer, "budget": budget}
        made |= {"selection": None if run else str(self.folder / f"{stem}.json"), "showing": showing}
        made |= {"answers": [str(path) for path in paths]}
        self.spec["cells"].append(made)
        self.judged[stem] = JudgedCell(metric="score", value=12.5, questions=verdicts)
        return made

    def make(self, monkeypatch, out="table"):
        names = (".csv", "_groups.csv", "_timings.csv", "_spec.json", ".md", ".tex")
        paths = {name: self.folder / f"{out}{name}" for name in names}
        arguments = ["--spec", json.dumps(self.spec), "--labels", self.folder / "labels.json", "--out", paths[".csv"]]
        for option, name in (("--groups-out", "_groups.csv"), ("--timings-out", "_timings.csv")):
            arguments += [option, paths[name]]
        arguments += ["--spec-out", paths["_spec.json"], "--markdown-out", paths[".md"], "--latex-out", paths[".tex"]]
        arguments += ["--benchmarks", self.folder / "benchmarks"]
        if not (self.folder / "judged.json").exists():
            write_judged(self.folder / "judged.json", self.judged, {})
        write_videos(self.folder / "videos.parquet", self.video_rows, {})
        arguments += ["--judged", self.folder / "judged.json", "--videos", self.folder / "videos.parquet"]
        if self.evidence is not None:
            write_json(self.folder / "evidence.json", self.evidence)
            arguments += ["--evidence", self.folder / "evidence.json"]
        arguments += ["--max-excluded", self.max_excluded]
        monkeypatch.setattr(sys, "argv", ["make_table.py", *map(str, arguments)])
        make_table.main()
        return [path.read_text() for path in paths.values()]

    def rows(self, monkeypatch):
        table, groups, timings, *_ = self.make(monkeypatch)
        return [list(csv.DictReader(io.StringIO(text))) for text in (table, groups, timings)]

    def edit(self, path, change):
        content = json.loads((self.folder / path).read_text())
        change(content["questions"])
        write_json(self.folder / path, content, checked=True)


@pytest.fixture
def make(monkeypatch):
    return lambda world: world.rows(monkeypatch)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_small_table_by_hand(world, make):
    world.spec["group_by"] = "evidence"
    world.evidence = {
        "q00": {"kind": "two_moments", "spans": [[0.5, 1.5], [90, 91]]},
        "q01": {"kind": "one_moment", "spans": [[2, 2]]},
        "q02": {"kind": "whole_video", "spans": []},
    }
    world.cell("ABBB")
    world.cell("AA-B", method="aks", scorer="clip")
    (uniform, aks), groups, timings = make(world)
    assert list(uniform) == [
        *columns.TABLE,
        *[f"accuracy[{k}_{m}]" for k, m in (("one", "moment"), ("two", "moments"))],
        "accuracy[whole_video]",
    ]
    assert uniform == {
        **dict.fromkeys(uniform, ""),
        "answerer": "vlm",
        "method": "uniform",
        "budget": "4",
        "protocol": "fair",
        "n": "4",
        "n_total": "4",
        "excluded": "0",
        "unparsed": "0",
        "unjudged": "0",
        "accuracy": "0.2500",
        "accuracy_low": "0.0000",  # two videos, of 1/2 and 0: resamples give 0, 1/4 and 1/2
        "accuracy_high": "0.6994",  # Wilson's, which is higher
        "videos": "2",
        "evidence_recall": "0.7500",  # (1/2 + 1) / 2
        "any_right": "0.5000",  # the one of uniform is one of the two of aks
        "frames_mean": "4.00",
        "frames_min": "4",
        "frames_max": "4",
        "lmms_eval": "12.5000",
        "disagreements": "0",
        "protocols_differ": "0",
        "shared": "4",
        "largest_gap": "0.7000",  # of ten seconds, the last seven
        "accuracy[one_moment]": "0.0000",
        "accuracy[two_moments]": "1.0000",
        "accuracy[whole_video]": "0.0000",
    }
    picked = {
        "scorer": "clip",
        "unparsed": "1",
        "accuracy": "0.5000",
        "difference": "0.2500",
        "p_value": "1.0000",
        "p_clustered": "1.0000",
        "p_holm": "1.0000",
        "n_paired": "4",
        "n_unpaired": "0",
        "videos": "2",
        "wins": "1",
        "ties": "3",
        "losses": "0",
        "verdict": "no evidence",
        "reason": "answers changed in fewer than 10 videos",
    }
    assert {name: aks[name] for name in picked} == picked
    assert (aks["difference_low"], aks["difference_high"], aks["detectable"]) == ("", "", "")
    assert [(row["grouping"], row["group"], row["n"]) for row in groups[:5]] == [
        ("duration", "short", "2"),
        ("duration", "long", "2"),
        ("evidence", "one_moment", "1"),
        ("evidence", "two_moments", "1"),
        ("evidence", "whole_video", "1"),
    ]
    assert [row["evidence_recall"] for row in groups[2:5]] == ["1.0000", "0.5000", ""]
    assert (groups[7]["difference"], groups[7]["difference_low"]) == ("1.0000", "")  # one video: no interval
    assert timings[0]["seconds_per_question"] == "0.625"
    assert not any("nan" in "".join(row.values()).lower() for row in [uniform, aks, *groups])


def test_excluded_questions_and_those_both_answered(world, make):
    world.cell("ABxA")
    world.cell("eAAB", method="topk", scorer="clip")
    (uniform, topk), groups, _ = make(world)
    assert (uniform["n"], uniform["excluded"], uniform["accuracy"]) == ("3", "1", "0.6667")
    assert (topk["n"], topk["excluded"], topk["accuracy"]) == ("3", "1", "0.6667")
    assert (topk["n_paired"], topk["difference"]) == ("2", "0.0000")  # q01 gained, q03 lost
    assert (topk["n_unpaired"], topk["wins"], topk["ties"], topk["losses"]) == ("2", "1", "0", "1")  # q00, q02
    assert [(row["n"], row["n_total"]) for row in groups] == [("1", "2"), ("2", "2"), ("1", "2"), ("2", "2")]


def test_a_row_without_a_question_in_common_with_the_baseline(world, make):
    world.cell("xxxA")
    world.cell("AABe", method="topk", scorer="clip")
    (_, topk), *_ = make(world)
    assert (topk["n_paired"], topk["difference"], topk["p_value"]) == ("0", "", "")
    assert (topk["verdict"], topk["reason"]) == ("no evidence", "no question that both answered")


@pytest.mark.parametrize("outcomes", ["xxxx", "eeee"])
def test_a_row_in_which_nothing_was_answered_is_a_failure(outcomes, world, make):
    world.cell("AABB")
    world.cell(outcomes, method="topk", scorer="clip")
    with pytest.raises(InputError, match=r"row topk with clip(.|\n)*none of the 4 questions can be used"):
        make(world)


def test_more_exclusions_than_the_limit_are_a_failure(world, make):
    world.cell("Aexe")
    assert make(world)[0][0]["n"] == "1"
    world.max_excluded = 0.05  # the two questions of one video always may
    with pytest.raises(InputError, match=r"max_excluded: 3 of 4 questions cannot be used(.|\n)*at most 2 of them"):
        make(world)


def test_chunks_are_one_cell(world, make):
    world.cell("AABB", chunks=3)
    assert make(world)[0][0]["n"] == "4"


def test_a_question_in_two_chunks(world, make):
    cell = world.cell("AABB", chunks=2)
    first = json.loads((world.folder / cell["answers"][0]).read_text())["questions"]["q00"]
    world.edit(cell["answers"][1], lambda questions: questions.update(q00=first))
    with pytest.raises(InputError, match=r"4-1\.json: question_id: is in two chunks\n  found: 'q00'"):
        make(world)


@pytest.mark.parametrize("file", ["vlm-uniform-None-4-0.json", "vlm-uniform-None-4.json"])
def test_a_missing_or_unknown_question(world, make, file):
    world.cell("AABB")
    world.edit(file, lambda questions: questions.update(q99=questions.pop("q02")))
    with pytest.raises(InputError, match=r"1 questions of the labels are missing from the (.|\n)*'q02'"):
        make(world)
    world.edit(file, lambda questions: questions.update(q02=questions["q99"]))
    with pytest.raises(InputError, match=r"are not in the labels\n  found: 'q99'"):
        make(world)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("frames_given", [0, 10, 20], "was given other frames than the selection chose"),
        ("video_id", "v9", "is about another video"),
    ],
)
def test_files_that_disagree_name_the_question(world, make, field, value, message):
    cell = world.cell("AABB")
    world.edit(cell["answers"][0], lambda questions: questions["q01"].update({field: value}))
    with pytest.raises(InputError, match=rf"question q01 \(uniform, 4 frames, vlm\): .*{message}"):
        make(world)


def test_a_selection_over_the_budget(world, make):
    world.cell("AABB", budget=3)
    with pytest.raises(InputError, match="more frames than the budget"):
        make(world)


def test_the_order_of_rows(world, make):
    """Answerers as first named, budgets by number, the baseline first, then methods and scorers as first named."""
    for answerer in ("vlm", "other"):
        for budget in (16, 4):
            world.cell("AABB", "topk", "clip", budget, answerer)
            world.cell("AABB", "topk", "blip", budget, answerer)
            world.cell("ABAB", "uniform", None, budget, answerer)
    rows = [(row["answerer"], row["budget"], row["method"], row["scorer"]) for row in make(world)[0]]
    block = [("uniform", ""), ("topk", "clip"), ("topk", "blip")]
    assert rows == [(a, b, m, s) for a in ("vlm", "other") for b in ("4", "16") for m, s in block]


def test_the_baseline_of_the_same_scorer(world, make, caplog):
    world.spec["baseline"] = "topk"
    world.cell("AAAA", "topk", "clip")
    world.cell("BBBB", "topk", "blip")
    world.cell("AABB", "aks", "clip")
    world.cell("AABB", "aks", "blip")
    with caplog.at_level(logging.WARNING, logger="framesift"):
        world.cell("AABB", "uniform")
        rows = {(row["method"], row["scorer"]): row["difference"] for row in make(world)[0]}
    assert rows == {
        ("topk", "clip"): "",
        ("topk", "blip"): "",
        ("aks", "clip"): "-0.5000",
        ("aks", "blip"): "0.5000",
        ("uniform", ""): "",
    }
    assert "uniform, 4 frames, vlm: has no baseline" in caplog.text


def test_a_baseline_that_is_missing_at_one_budget(world, make, caplog):
    world.cell("AABB")
    world.cell("AABB", "topk", "clip", budget=8)
    with caplog.at_level(logging.WARNING, logger="framesift"):
        rows = make(world)[0]
    assert (rows[1]["difference"], rows[1]["n_paired"]) == ("", "")
    assert "no baseline" in caplog.text


def test_no_baseline_at_all(world, make):
    world.spec["baseline"] = None
    world.cell("AABB")
    world.cell("AAAA", "topk", "clip")
    assert [row["difference"] for row in make(world)[0]] == ["", ""]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "unifrom"}, r"baseline: is not a method(.|\n)*did you mean 'uniform'"),
        ({"group_by": "durations"}, r"group_by: is not a grouping(.|\n)*did you mean 'duration'"),
        ({"cells": []}, "--spec: cells"),
        ({"colour": "red"}, "--spec: colour"),
    ],
)
def test_broken_specs(world, make, change, message):
    world.cell("AABB")
    world.spec |= change
    with pytest.raises(InputError, match=message):
        make(world)


def test_two_cells_of_one_name(world, make):
    world.cell("AABB")
    world.spec["cells"] *= 2
    with pytest.raises(InputError, match="two cells have the same answerer"):
        make(world)


def test_a_grouping_named_like_the_evidence(world, make):
    world.cell("AABB")
    records = json.loads((world.folder / "labels.json").read_text())
    records[0]["normalised"]["groups"]["evidence"] = "x"
    write_json(world.folder / "labels.json", records)
    world.evidence = {"q00": {"kind": "one_moment", "spans": [[0, 1]]}}
    with pytest.raises(InputError, match="a grouping of this name already"):
        make(world)


def _big(folder):
    world = World(folder, n=24, videos=6)
    rng = random.Random(0)
    letters = lambda: "".join(rng.choice("AAB-x") for _ in range(24))  # noqa: E731
    for budget in (4, 8):
        world.cell(letters(), budget=budget, chunks=2)
        world.cell(letters(), "topk", "clip", budget, chunks=2, frames=lambda k: [k, 40])
        world.cell(letters(), "aks", "clip", budget, chunks=2, frames=lambda k: [k, 50 + k])
    world.spec["group_by"] = "duration"
    world.evidence = {question_id: {"kind": "one_moment", "spans": [[0, 1]]} for question_id in world.ids}
    return world


def test_shuffled_input_gives_the_same_bytes(tmp_path, monkeypatch):
    world = _big(tmp_path)
    before = world.make(monkeypatch)
    rng = random.Random(1)

    def shuffle(questions):
        items = list(questions.items())
        rng.shuffle(items)
        questions.clear()
        questions.update(items)

    for cell in world.spec["cells"]:
        for path in (cell["selection"], *cell["answers"]):
            world.edit(path, shuffle)
        cell["answers"].reverse()
    world.write_labels(rng.sample(world.ids, 24))
    after = world.make(monkeypatch, out="again")
    assert after[:2] == before[:2]
    assert after[4:] == before[4:]


def test_the_order_of_cells_changes_no_number(tmp_path, monkeypatch):
    world = _big(tmp_path)
    before = world.make(monkeypatch)
    world.spec["cells"].reverse()
    after = world.make(monkeypatch)
    assert sorted(after[0].splitlines()) == sorted(before[0].splitlines())
    assert sorted(after[1].splitlines()) == sorted(before[1].splitlines())


def test_the_seed_changes_intervals_only(tmp_path, monkeypatch):
    world = _big(tmp_path)
    before = list(csv.DictReader(io.StringIO(world.make(monkeypatch)[0])))
    world.spec["seed"] = 1
    after = list(csv.DictReader(io.StringIO(world.make(monkeypatch)[0])))
    changed = {name for old, new in zip(before, after, strict=True) for name in old if old[name] != new[name]}
    assert changed <= {f"{name}_{end}" for name in ("accuracy", "difference") for end in ("low", "high")}


# A table for a page or a paper

MARKDOWN = """\
# t

Accuracy on d, at most 4, 8 frames a question, protocol fair. Ranges are 95 % intervals over videos: of an \
accuracy by a bootstrap of 10,000 resamples of whole videos, at least Wilson's; of a gain by Student's t with the \
bias-reduced variance CR2, where answers changed in at least 10 videos. Gain is the difference to uniform on the \
questions both answered. p is the larger of McNemar's exact test and an exact test that flips whole videos, \
corrected by Holm's method for the number of methods of one answerer and budget (negative controls, and runs of \
others, each among their own). The verdict is better or worse where the interval excludes zero and p is below 0.05, \
and no flag, lack of videos or difference in the questions answered speaks against it.

## vlm\\_1, 4 frames

| method | scorer | control | n | accuracy, % | gain, points | p (Holm) | verdict | frames |
| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: |
| uniform |  |  | 12 | 8.3 (0.0 to 35.4) | baseline |  |  | 4 |
| uniform |  | blank | 12 | 0.0 (0.0 to 24.2) | -8.3 | 1.0000 | no evidence | 4 |
| a\\|b & 50% | clip |  | 12 | 91.7 (64.6 to 100.0) | +83.3 (+58.6 to +100.0) | 0.0039 | better | 4 |
| aks | clip |  | 11 of 12 | 9.1 (0.0 to 37.7) | +0.0 | 1.0000 | no evidence | 4 |

## vlm\\_1, 8 frames

| method | scorer | control | n | accuracy, % | gain, points | p (Holm) | verdict | frames |
| --- | --- | --- | ---: | ---: | ---: | ---: | --- | ---: |
| uniform |  |  | 12 | 100.0 (75.8 to 100.0) | baseline |  |  | 4 |
"""
LATEX = r"""% \usepackage{booktabs}
\begin{table*}
  \centering\small
  \caption{CAPTION}
  \label{tab:t}
  \begin{tabular}{lllrrrrlr}
    \toprule
    method & scorer & control & n & accuracy, \% & gain, points & p (Holm) & verdict & frames \\
    \midrule
    \multicolumn{9}{l}{\emph{vlm\_1, 4 frames}} \\
    uniform &  &  & 12 & 8.3 (0.0 to 35.4) & baseline &  &  & 4 \\
    uniform &  & blank & 12 & 0.0 (0.0 to 24.2) & $-$8.3 & 1.0000 & no evidence & 4 \\
    a\textbar{}b \& 50\% & clip &  & 12 & 91.7 (64.6 to 100.0) & +83.3 (+58.6 to +100.0) & 0.0039 & better & 4 \\
    aks & clip &  & 11 of 12 & 9.1 (0.0 to 37.7) & +0.0 & 1.0000 & no evidence & 4 \\
    \midrule
    \multicolumn{9}{l}{\emph{vlm\_1, 8 frames}} \\
    uniform &  &  & 12 & 100.0 (75.8 to 100.0) & baseline &  &  & 4 \\
    \bottomrule
  \end{tabular}
\end{table*}
"""


def _for_a_paper(folder):
    world = World(folder, n=12, videos=12)
    world.cell("ABBBBBBBBBBB", answerer="vlm_1")
    world.cell("B" * 12, answerer="vlm_1", control="blank")
    world.cell("AAAAAAAAAAAB", "a|b & 50%", "clip", answerer="vlm_1", frames=lambda k: [k, 40, 50, 60])
    world.cell("ABBBBBBBBBBx", "aks", "clip", answerer="vlm_1", frames=lambda k: [k, 41, 51, 61])
    world.cell("A" * 12, budget=8, answerer="vlm_1")
    return world


def test_a_table_in_markdown(tmp_path, monkeypatch):
    assert _for_a_paper(tmp_path).make(monkeypatch)[4] == MARKDOWN


def test_a_table_in_latex(tmp_path, monkeypatch):
    caption = MARKDOWN.splitlines()[2].replace("%", r"\%")
    assert _for_a_paper(tmp_path).make(monkeypatch)[5] == LATEX.replace("CAPTION", caption)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"50 % & $x_1^2$ #{a}~\b", r"50 \% \& \$x\_1\textasciicircum{}2\$ \#\{a\}\textasciitilde{}\textbackslash{}b"),
        ("<0.0001", r"\textless{}0.0001"),
        ("-1.0 (-2.0 to +3.0)", "$-$1.0 ($-$2.0 to +3.0)"),
        ("LLaVA-7B-1.5", "LLaVA-7B-1.5"),
    ],
)
def test_latex_reads_nothing_as_its_own(text, escaped):
    assert written.escape_latex(text) == escaped


# Answers that agree more than their frames allow


def _pair(tmp_path, make, caplog, *, n=100, changed=0, common=0, pixels=(None, None), **second):
    """The flags of two rows: so many answers differ, and so many of the four frames are common."""
    world = World(tmp_path, n=n)
    world.cell("A" * n, pixels=pixels[0])
    other = [0, 10, 20, 30][:common] + [51, 52, 53, 54][common:]
    world.cell("B" * changed + "A" * (n - changed), "topk", "clip", frames=lambda _: other, pixels=pixels[1], **second)
    with caplog.at_level(logging.WARNING, logger="framesift"):
        return [row["flag"] for row in make(world)[0]]


@pytest.mark.parametrize(
    ("given", "fires"),
    [
        ({}, True),
        ({"changed": 1}, False),  # up to 5.4 of a hundred
        ({"n": 200, "changed": 3}, True),
        ({"n": 200, "changed": 10}, False),
        ({"n": 72}, False),  # too few to tell
        ({"n": 73}, True),
        ({"common": 2}, True),  # two of six frames
        ({"common": 3}, False),
        ({"budget": 8}, True),
        ({"answerer": "other"}, False),
        ({"run": True, "common": 4}, True),  # nobody knows what it saw
    ],
    ids=str,
)
def test_answers_that_agree_more_than_their_frames_allow(tmp_path, make, caplog, given, fires):
    flags = _pair(tmp_path, make, caplog, **given)
    assert flags == ([SIMILAR_ANSWERS] * 2 if fires else ["", ""])
    assert ("'uniform, 4 frames, vlm' and 'topk with clip" in caplog.text) is fires


def test_whether_the_pixels_are_known_to_differ(tmp_path, make, caplog):
    numbers = (lambda k: f"a{k}", lambda k: f"b{k}")
    assert _pair(tmp_path, make, caplog, pixels=numbers) == [SIMILAR_ANSWERS] * 2
    assert "answers without looking" in caplog.text


def test_different_frames_but_the_same_pixels(tmp_path, make, caplog):
    same = (str, str)
    assert _pair(tmp_path, make, caplog, n=20, changed=20, pixels=same) == [SAME_PIXELS] * 2
    assert "does not reach the model" in caplog.text


def test_a_few_still_videos_are_no_sign(tmp_path, make, caplog):
    half = (lambda k: f"a{k}", lambda k: f"a{k}" if k % 2 else f"b{k}")
    assert _pair(tmp_path, make, caplog, n=20, changed=20, pixels=half) == ["", ""]


# Protocols and controls


def test_a_control_is_a_row_and_is_compared_with_what_it_controls(tmp_path, make):
    world = World(tmp_path)
    world.cell("AAAA")
    world.cell("ABBB", control="zeroed", shown=lambda number, chosen: [0, 0, 0, 0])
    uniform, zeroed = make(world)[0]
    assert (uniform["control"], uniform["difference"]) == ("", "")
    assert (zeroed["control"], zeroed["difference"]) == ("zeroed", "-0.7500")
    assert zeroed["overlap"] == ""


def test_a_control_that_saw_the_selection_is_refused(tmp_path, make):
    world = World(tmp_path)
    world.cell("AAAA", control="zeroed")
    with pytest.raises(InputError, match="other frames than the selection chose"):
        make(world)


def test_two_controls_may_agree(tmp_path, make):
    world = World(tmp_path, n=100)
    world.cell("A" * 100, control="zeroed", shown=lambda number, chosen: [0] * len(chosen))
    world.cell("A" * 100, control="blank")
    assert [row["flag"] for row in make(world)[0]] == ["", ""]


def test_what_the_released_protocol_changes_is_counted(tmp_path, make):
    world = World(tmp_path)
    short = lambda number: [0, 10] if number == 1 else [0, 10, 20, 30]  # noqa: E731
    world.spec["baseline"] = "aks"
    world.cell("AAAA", "aks", frames=short)
    assert make(world)[0][0]["protocols_differ"] == "1"
    (tmp_path / "judged.json").unlink()
    world.cell("AAAA", "uniform")["uniform"] = "linspace"
    rows = {row["method"]: row for row in make(world)[0]}
    assert rows["uniform"]["protocols_differ"] == "4"  # of 100 frames, 0, 33, 66 and 99


def test_a_table_of_the_released_protocol(tmp_path, make):
    world = World(tmp_path)
    world.spec["protocol"] = "released"
    spread = lambda number, chosen: [0, 33, 66, 99] if len(chosen) < 4 else chosen  # noqa: E731
    short = lambda number: [0, 10] if number == 1 else [0, 10, 20, 30]  # noqa: E731
    world.cell("AAAA", "uniform", frames=short, shown=spread, protocol="released")
    world.spec["cells"][0]["showing"]["budget"] = 4
    [row] = make(world)[0]
    assert (row["protocol"], row["frames_min"]) == ("released", "4")


def test_answers_that_rows_share(tmp_path, make):
    world = World(tmp_path)
    world.cell("AAAA")
    world.cell("AAAB", "topk", frames=lambda number: [0, 10, 20, 30 + (number == 3)])
    assert [row["shared"] for row in make(world)[0]] == ["3", "3"]


def test_where_lmms_eval_disagrees(tmp_path, make):
    """It finds an option in an answer in which our parser finds none."""
    world = World(tmp_path)
    world.cell("AB-A")
    [row] = make(world)[0]
    assert (row["unparsed"], row["disagreements"], row["lmms_eval"]) == ("1", "1", "12.5000")


def test_open_answers_without_a_judge(tmp_path, monkeypatch, capsys):
    world = World(tmp_path)
    world.cell("??A?")
    world.cell("????", "topk")
    shown = _shown(world, monkeypatch, capsys)
    assert "7 open answers were not judged" in " ".join(shown.split())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert [(row["n"], row["unjudged"], row["accuracy"]) for row in rows] == [("4", "3", "1.0000"), ("4", "4", "")]


def test_a_run_of_others_is_a_row(tmp_path, make):
    world = World(tmp_path)
    world.cell("AABB")
    world.cell("ABBB", "theirs", run=True)
    _, theirs = make(world)[0]
    assert (theirs["protocol"], theirs["accuracy"]) == ("not known: a run of others", "0.2500")
    assert {theirs[name] for name in ("frames_mean", "evidence_recall", "overlap", "protocols_differ")} == {""}


def test_verdicts_by_another_answer(tmp_path, make):
    world = World(tmp_path)
    world.cell("AABB")
    world.judged["vlm-uniform-None-4"].questions["q01"] = Verdict(answer="B", parsed="A", correct=False)
    with pytest.raises(InputError, match="judged by another answer"):
        make(world)


def test_answers_without_verdicts(tmp_path, make):
    world = World(tmp_path)
    world.cell("AABB")
    del world.judged["vlm-uniform-None-4"].questions["q01"]
    with pytest.raises(InputError, match="missing from the verdicts"):
        make(world)
    (tmp_path / "judged.json").unlink()
    world.judged.clear()
    with pytest.raises(InputError, match="not among the judged answers"):
        make(world)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("accuracy", 0.123456, "0.1235"),
        ("difference", -1e-9, "0.0000"),
        ("difference", -0.25, "-0.2500"),
        ("n", 12, "12"),
        ("frames_mean", 7.999, "8.00"),
        ("p_value", None, ""),
    ],
)
def test_numbers_as_written(column, value, text):
    assert columns.written(column, value) == text


# Seconds


def test_seconds_of_the_jobs_that_scored_and_selected(world, make, monkeypatch):
    monkeypatch.chdir(world.folder)
    (world.folder / "results" / "selections").mkdir(parents=True)
    for cell in (world.cell("AABB"), world.cell("AABB", "topk", "clip")):
        file = f"results/selections/{cell['id']}.json"
        (world.folder / f"{cell['id']}.json").rename(file)
        cell["selection"] = file
    cell["features"] = ["results/scores/d/*-of-2.parquet"]
    for name, seconds in {"scores/d/1-of-2": 2, "scores/d/2-of-2": 4, "selections/vlm-topk-clip-4": 1}.items():
        path = world.folder / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tcpu_time\n{seconds}\t0:00:09\t7\n")
    uniform, topk = make(world)[2]
    assert (topk["scoring_seconds"], topk["selecting_seconds"]) == ("1.500", "0.250")  # of four questions
    assert (uniform["scoring_seconds"], uniform["selecting_seconds"]) == ("", "")  # none needed, and none on disk


@pytest.mark.parametrize("summary", [False, True])
@pytest.mark.parametrize(("device", "share"), [("NVIDIA H200", 1), ("cpu", 0), ("", 0), ("server", 0)])
def test_seconds_of_a_gpu_are_those_of_files_that_name_one(world, make, monkeypatch, device, share, summary):
    monkeypatch.chdir(world.folder)
    world.spec["baseline"] = None
    cell = world.cell("AABB", "topk", "clip")
    cell["features"] = ["results/scores.parquet"]
    (world.folder / "results").mkdir()
    (world.folder / "benchmarks").mkdir()
    if summary:  # of pseudo-labels
        cell["features"] = ["results/scores.json"]
        Path("results/scores.json").write_text(json.dumps({"device": device}))
    else:
        write_scores("results/scores.parquet", [], {}, device)
    (world.folder / "benchmarks" / "scores.tsv").write_text("s\n4.0\n")
    world.edit(cell["answers"][0], lambda questions: [one.update(device=device) for one in questions.values()])
    [timing] = make(world)[2]
    assert timing["scoring_seconds"] == "1.000"
    assert timing["scoring_gpu_seconds"] == f"{share:.3f}"
    assert timing["seconds_per_question"] == "0.625"
    assert timing["gpu_seconds_per_question"] == f"{0.625 * share:.3f}"


def test_seconds_are_not_told_where_one_job_is_missing(world, make):
    world.cell("AABB", "uniform", "clip")["features"] = ["results/a.parquet", "results/b.parquet"]
    (world.folder / "benchmarks").mkdir()
    (world.folder / "benchmarks" / "a.tsv").write_text("s\n3.0\n")
    assert make(world)[2][0]["scoring_seconds"] == ""
    (world.folder / "benchmarks" / "b.tsv").write_text("s\n-\n")
    assert make(world)[2][0]["scoring_seconds"] == ""
    (world.folder / "benchmarks" / "b.tsv").write_text("s\n5.0\n")
    assert make(world)[2][0]["scoring_seconds"] == "2.000"  # of four questions


@pytest.mark.parametrize("column", sorted({*columns.TABLE, *columns.GROUPS, *columns.TIMINGS}))
def test_every_column_is_documented(column):
    text = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    assert f"`{column}`" in text


# On the terminal


def _shown(world, monkeypatch, capsys):
    world.make(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["show_table.py", str(world.folder / "table.csv")])
    capsys.readouterr()
    show_table.main()
    return capsys.readouterr().out


def test_show_is_plain_when_piped(tmp_path, monkeypatch, capsys):
    world = _big(tmp_path)
    shown = _shown(world, monkeypatch, capsys)
    assert "\x1b" not in shown
    assert max(len(line) for line in shown.splitlines()) <= display.PIPED_WIDTH
    for words in (
        "vlm, 4 frames (fair protocol)",
        "vlm, 8 frames",
        "baseline",
        "topk",
        "clip",
        "short",
        "no evidence",
    ):
        assert words in shown
    assert "answers are excluded" in shown
    why = "answers changed in fewer than 10 videos"
    assert f"No evidence of a difference to uniform: topk with clip, aks with clip ({why})." in " ".join(shown.split())
    assert "table_groups.csv" in " ".join(shown.split())


def test_show_names_nothing_it_cannot_know(world, monkeypatch, capsys):
    world.spec["baseline"] = None
    world.cell("xxxA", method="[bold]odd[/bold]")
    shown = _shown(world, monkeypatch, capsys)
    assert "[bold]odd[/bold]" in shown
    assert "evidence" not in shown
    assert "Gain:" not in shown


def test_show_a_table_whose_baseline_answered_nothing_else(world, monkeypatch, capsys):
    world.cell("xxxA")
    world.cell("AAAx", "topk", "clip")
    assert "no question that both uniform and another method answered" in _shown(world, monkeypatch, capsys)


def test_show_refuses_other_files(world, monkeypatch, capsys):
    world.cell("AABB")
    world.make(monkeypatch)
    with pytest.raises(InputError, match="this one has groups"):
        display.read_table(world.folder / "table_groups.csv")
    with pytest.raises(InputError, match="cannot be read"):
        display.read_table(world.folder / "none.csv")


def test_programs_end_in_one_message(world, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["show_table.py", str(world.folder / "none.csv")])
    with pytest.raises(SystemExit, match=r"error: .*none\.csv: cannot be read"):
        cli.run(show_table.main)
