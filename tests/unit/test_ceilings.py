"""The floor under differences and the ceilings above methods."""

from dataclasses import replace

import numpy as np
import pytest

from framesift.answering.answer_file import Answer
from framesift.core.errors import InputError
from framesift.data.questions import Evidence, Question
from framesift.judging.verdict_file import JudgedCell, Verdict
from framesift.selection.select_frames import select_frames
from framesift.selection.selectors import Candidates, choose
from framesift.selection.selectors.evidence import AnnotatedEvidence
from framesift.selection.selectors.random import Random
from framesift.tables.ceilings import add_ceilings
from framesift.tables.cells import Cell, CellSpec, Outcome
from framesift.tables.formatting import floor_and_ceilings
from framesift.tables.statistics import difference_interval, ratio_interval
from framesift.video.table import Video


def cell(method, letters, **spec):
    """A row of twelve videos of four questions that answered these letters; "A" is right, "-" is unparsed."""
    judged = {f"q{k}": Verdict(answer="A", parsed=None if a == "-" else a) for k, a in enumerate(letters)}
    outcomes = {
        f"q{k}": Outcome(Answer.model_construct(video_id=f"v{k // 4}", response=method + a), a == "A", a == "-", None)
        for k, a in enumerate(letters)
    }
    made = CellSpec(id=method, answerer="vlm", method=method, budget=8, answers=("x",), **spec)
    return Cell(made, {}, JudgedCell(questions=judged), outcomes, {})


def ceilings(*cells):
    rows = [{} for _ in cells]
    add_ceilings(rows, cells, {one.spec.identity: cells[0] for one in cells[1:]})
    return rows


UNIFORM = cell("uniform", "ABBB" * 12)
ORACLE = cell("evidence (oracle)", "AAAB" * 12, oracle=True)
DRAWS = [cell("random", "ABBB" * 12, churn="churn 1"), cell("random", "BABC" * 12, churn="churn 2")]


def test_churn_is_what_two_random_selections_change_and_changed_what_a_method_does():
    rows = ceilings(UNIFORM, cell("topk", "ACBB" * 12), *DRAWS)
    assert {row["churn"] for row in rows} == {0.75}  # the first three of four options differ, right or wrong
    assert [row["changed"] for row in rows] == [None, 0.25, 0.0, 0.75]  # B to C counts, though both are wrong
    assert {row["churn"] for row in ceilings(UNIFORM, cell("topk", "ACBB" * 12))} == {None}


def test_any_right_leaves_controls_out():
    rows = ceilings(
        UNIFORM, cell("topk", "BAB-" * 12), *DRAWS, cell("uniform", "AAAA" * 12, showing={"control": "blank"})
    )
    assert {row["any_right"] for row in rows} == {0.5}


def test_a_method_attains_part_of_the_gain_of_the_oracle():
    rows = ceilings(UNIFORM, cell("topk", "AABB" * 12), ORACLE)
    assert (rows[1]["attained"], rows[1]["attained_low"], rows[1]["attained_high"]) == pytest.approx((0.5, 0.5, 0.5))
    assert rows[0]["attained"] is None
    assert rows[2]["attained"] is None


@pytest.mark.parametrize("letters", ["ABBB", "BBBB"])
def test_nothing_can_be_attained_below_an_oracle_that_is_no_better(letters):
    rows = ceilings(UNIFORM, cell("topk", "AABB" * 12), replace(ORACLE, outcomes=cell("o", letters * 12).outcomes))
    assert {row["attained"] for row in rows} == {None}
    text = {"control": "", "scorer": "", "budget": "8", "answerer": "vlm", "difference": "0.1", "churn": ""}
    texts = [text | {"method": method, "any_right": "0.5", "attained": ""} for method in ("topk", "evidence (oracle)")]
    said = list(floor_and_ceilings(texts, "uniform"))
    assert said[-1] == "evidence (oracle) is no better than uniform, so there is no attainable gain."


def test_of_the_intervals_of_an_attained_gain_95_percent_hold_the_truth():
    rng, videos, held = np.random.default_rng(0), np.repeat([f"v{k}" for k in range(40)], 5), []
    for _ in range(1000):
        common = np.repeat(rng.random(40), 5)
        draw = np.where(rng.random(200) < 0.3, common, rng.random(200))
        whole = np.where(draw < 0.5, 1, np.where(draw > 0.9, -1, 0))  # 0.5 - 0.1
        part = np.where(draw < 0.25, 1, np.where(draw > 0.95, -1, 0))  # 0.25 - 0.05
        interval = ratio_interval(videos, part, whole)
        held.append(interval.low <= 0.5 <= interval.high)
    assert 0.93 <= np.mean(held) <= 0.97


def test_a_ratio_to_a_gain_that_may_be_zero_has_no_interval():
    videos, whole = [f"v{k}" for k in range(40)], [1, -1, 1, 0] * 10
    assert difference_interval(videos, whole).low <= 0
    assert ratio_interval(videos, [1, 0, 0, 0] * 10, whole) is None


# Selectors


def test_the_oracle_takes_the_annotated_moments_first():
    candidates = Candidates(np.arange(100.0), spans=((70.0, 74.0), (10.2, 10.4), (20.0, 30.0)))
    chosen = [choose(AnnotatedEvidence(), candidates, budget, np.random.default_rng(0)) for budget in (2, 3, 4)]
    assert [one.positions.tolist() for one in chosen] == [[10, 25], [10, 25, 72], [10, 25, 72, 99]]
    none = choose(AnnotatedEvidence(), Candidates(np.arange(100.0)), 3, np.random.default_rng(0))
    assert (none.positions.tolist(), none.note) == ([0, 50, 99], "no moment is annotated: uniform frames")


def test_the_oracle_refuses_a_dataset_without_annotation():
    question = Question(question_id="q", video_id="v", question="Why?", answer=None)
    videos = {"v": Video("v", "v.mp4", frames=list(range(9)), times=[float(k) for k in range(9)])}
    arguments = ([question], videos, None, None, AnnotatedEvidence(), 2, 0)
    with pytest.raises(InputError, match="no annotated moment"):
        select_frames(*arguments)
    with pytest.raises(InputError, match="no annotated moment"):
        select_frames(*arguments, {"q": Evidence(kind="whole_video")})
    made = select_frames(*arguments, {"q": Evidence(kind="one_moment", spans=((5.0, 5.0),))})
    assert made["q"].frames == [0, 5]


def test_draws_of_one_seed_are_independent():
    draws = [choose(Random(draw=k), Candidates(np.arange(50.0)), 8, np.random.default_rng(3)) for k in (0, 1, 0)]
    assert draws[0].positions.tolist() == draws[2].positions.tolist() != draws[1].positions.tolist()
