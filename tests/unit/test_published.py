"""Published numbers: the files hold together, a mistake is named where it stands, and what differs is said."""

import csv
import io
import math

import pytest

from framesift.core.components import implementation
from framesift.core.errors import InputError
from framesift.papers.published import (
    COLUMNS,
    COMPARISON_COLUMNS,
    FOLDER,
    QUESTIONS,
    Ours,
    Published,
    comparison_rows,
    match,
    ours,
    read_published,
)
from framesift.scoring.released_scores import CHECKPOINTS
from framesift.scoring.scorers.aks_outscores import AksOutscores
from framesift.tables import columns

NUMBER = {
    "paper": "tang2025aks",
    "place": "Table 1",
    "dataset": "longvideobench",
    "group": "",
    "metric": "accuracy_percent",
    "model": "LLaVA-Video-7B",
    "answerer_kind": "llava_vid",
    "method": "aks",
    "variant": "",
    "scorer": "blip_itm",
    "scorer_model": "blip-itm-large-coco",
    "frames": "64",
    "protocol": "released",
    "subtitles": "no",
    "value": "62.7",
    "sure": "table",
    "note": "",
}
REPRODUCTION = Ours(
    dataset="longvideobench",
    answerer="llava_vid",
    model="lmms-lab/LLaVA-Video-7B-Qwen2",
    method="aks",
    parameters={"variant": "released", "s_thr": 0.2, "max_depth": 3},
    scorer="blip_itm",
    scorer_model="Salesforce/blip-itm-large-coco",
    budget=64,
    protocol="released",
    accuracy=0.62,
    low=0.5937,
    high=0.6456,
    n=1337,
    n_total=1337,
)


def _number(**changes):
    return Published.model_validate(NUMBER | changes)


def _mine(**changes):
    return REPRODUCTION.model_copy(update=changes)


def _csv(*rows, header=COLUMNS):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    for row in rows:
        writer.writerow([row.get(name, "") for name in header])
    return text.getvalue()


@pytest.fixture(scope="module")
def published():
    return read_published()


# The files


def test_every_file_is_read_and_explained(published):
    files = sorted(file.name for file in FOLDER.glob("*.csv"))
    rows = 0
    for name in files:
        with open(FOLDER / name, newline="", encoding="utf-8") as file:
            rows += sum(1 for _ in csv.DictReader(file))
    assert rows == len(published)
    readme = (FOLDER / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in [*files, *COLUMNS])


def test_every_paper_has_an_entry(published):
    from framesift.papers.references import read_bibliography

    assert {number.paper for number in published} <= set(read_bibliography())


def test_a_parameter_of_a_setting_is_one_of_the_selector(published):
    named = [(number.method, name) for number in published for name in number.parameters]
    assert ("aks", "s_thr") in named
    for method, name in named:
        assert method, name
        assert name in implementation("selectors", method).model_fields


def test_a_number_of_a_model_names_a_checkpoint_of_its_kind(published):
    """What can be run here has the kind that runs it; else `match` would call it another model."""
    for number in published:
        if number.answerer_kind:
            brand = number.answerer_kind.removesuffix("_hf").split("_")[0].replace("internvl3", "internvl")
            assert brand in number.model.lower().replace("-", "")


def test_selections_alone_have_no_answerer_and_answers_have_one(published):
    for number in published:
        alone = number.metric in ("kfr", "shr", "ukss", "evidence_recall")
        assert alone == (number.model == "none") == (number.protocol == "none")
        assert alone == (number.sure == "computed")


def test_known_values_of_the_papers(published):
    def value(**wanted):
        found = [number for number in published if all(getattr(number, key) == wanted[key] for key in wanted)]
        assert len(found) == 1, wanted
        return found[0].value

    aks = {"paper": "tang2025aks", "model": "LLaVA-Video-7B", "frames": 64, "group": ""}
    assert value(**aks, place="Table 5", dataset="longvideobench", variant="s_thr=0.8; max_depth=5") == 61.3
    assert value(**aks, place="Table 5", dataset="videomme", variant="s_thr=0.8; max_depth=5") == 65.3
    assert value(**aks, place="Table 2", dataset="longvideobench", method="topk") == 62.4
    bolt = {"paper": "liu2025bolt", "dataset": "mlvu", "model": "Qwen3-VL-8B"}
    assert value(**bolt, method="bolt", frames=32) == 70.3
    dig = {"paper": "li2026dig", "model": "Qwen2.5-VL-7B", "method": "dig", "frames": 256}
    assert value(**dig, dataset="longvideobench") == 64.62


def test_numbers_of_groups_recombine_to_those_of_all(published):
    """Video-MME's three groups are equal in size, so their mean is the number of all; rounding costs 0.1."""
    whole = ("paper", "model", "method", "variant", "frames", "scorer", "sure")
    groups: dict = {}
    overall: dict = {}
    for number in published:
        if number.dataset == "videomme" and number.subtitles == "no" and number.metric == "accuracy_percent":
            key = tuple(getattr(number, name) for name in whole)
            if number.group:
                groups.setdefault(key, {})[number.group] = number.value
            else:
                overall.setdefault(key, []).append(number.value)
    checked = 0
    for key, values in groups.items():
        if len(values) == 3 and key in overall:
            mean = sum(values.values()) / 3
            assert any(abs(mean - value) <= 0.1 for value in overall[key]), key
            checked += 1
    assert checked >= 4


# Mistakes


@pytest.mark.parametrize(
    ("changes", "column", "problem"),
    [
        ({"value": "62,7"}, "value", "number"),
        ({"value": ""}, "value", "number"),
        ({"value": "nan"}, "value", ""),
        ({"value": "-1"}, "value", "greater than or equal to 0"),
        ({"value": "100.1"}, "value", "less than or equal to 100"),
        ({"value": "5.5", "metric": "score_0_5"}, "value", "more than score_0_5 can be, 5"),
        ({"value": "21", "metric": "ukss"}, "value", "more than ukss can be, 1"),
        ({"frames": "0"}, "frames", "above 0"),
        ({"frames": "32.5"}, "frames", "whole number"),
        ({"dataset": "longvideobensch"}, "dataset", "did you mean 'longvideobench'"),
        ({"dataset": "custom"}, "dataset", "there is no"),
        ({"method": "akss"}, "method", "did you mean 'aks'"),
        ({"scorer": "blip"}, "scorer", "there is no"),
        ({"answerer_kind": "llava"}, "answerer_kind", "there is no"),
        ({"paper": "tang2025ask"}, "paper", "did you mean 'tang2025aks'"),
        ({"paper": ""}, "paper", "at least 1"),
        ({"place": ""}, "place", "at least 1"),
        ({"metric": "accuracy"}, "metric", "accuracy_percent"),
        ({"sure": "certain"}, "sure", "third-party"),
        ({"subtitles": "none"}, "subtitles", "'no'"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_column(tmp_path, changes, column, problem):
    file = tmp_path / "wrong.csv"
    file.write_text(_csv(NUMBER, NUMBER | {"place": "Table 2"} | changes))
    with pytest.raises(InputError) as caught:
        read_published(file)
    assert f"wrong.csv: line 3, column {column!r}" in str(caught.value)
    assert problem in str(caught.value)


def test_a_column_that_there_is_not_is_refused(tmp_path):
    file = tmp_path / "wrong.csv"
    file.write_text(_csv(NUMBER, header=[*COLUMNS, "scorers"]))
    with pytest.raises(InputError, match=r"(?s)wrong\.csv: line 1: .*'scorers'.*did you mean 'scorer'"):
        read_published(file)


def test_a_column_that_is_missing_or_there_twice_is_refused(tmp_path):
    file = tmp_path / "wrong.csv"
    for header in (COLUMNS[:-1], [*COLUMNS, "note"]):
        file.write_text(_csv(NUMBER, header=header))
        with pytest.raises(InputError, match=r"line 1: column 'note' must be there once"):
            read_published(file)
    file.write_text("")
    with pytest.raises(InputError, match="line 1: column 'paper'"):
        read_published(file)


def test_a_number_told_twice_is_refused_even_with_another_value_or_in_another_file(tmp_path):
    file, other = tmp_path / "a.csv", tmp_path / "b.csv"
    file.write_text(_csv(NUMBER, NUMBER | {"value": "60.0", "note": "again"}))
    with pytest.raises(InputError, match=r"(?s)a\.csv: line 3: is given twice.*60\.0.*a\.csv, line 2"):
        read_published(file)
    file.write_text(_csv(NUMBER))
    other.write_text(_csv(NUMBER))
    with pytest.raises(InputError, match=r"(?s)b\.csv: line 2.*first in .*a\.csv, line 2"):
        read_published(tmp_path)


def test_lines_are_counted_where_a_note_has_several(tmp_path):
    file = tmp_path / "wrong.csv"
    file.write_text(_csv(NUMBER | {"note": "one\ntwo"}, NUMBER | {"place": "Table 2", "value": "x"}))
    with pytest.raises(InputError, match="line 4, column 'value'"):
        read_published(file)


def test_a_row_of_another_length_an_unreadable_file_and_an_empty_folder_are_refused(tmp_path):
    file = tmp_path / "wrong.csv"
    file.write_text(_csv(NUMBER) + "tang2025aks,Table 2\n")
    with pytest.raises(InputError, match="line 3: has another number of fields"):
        read_published(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as CSV"):
        read_published(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_published(tmp_path / "nothing.csv")
    file.unlink()
    with pytest.raises(InputError, match=r"no \.csv files"):
        read_published(tmp_path)


def test_columns_may_come_in_any_order(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(_csv(NUMBER, header=tuple(reversed(COLUMNS))))
    assert read_published(file) == [_number()]


def test_frames_are_a_number_or_words():
    assert _number().frames == 64
    assert _number(frames="at most 32").frames == "at most 32"
    assert _number(frames="").frames == ""


def test_a_setting_is_parameters_and_words():
    number = _number(variant="s_thr=0.2; max_depth=3; frames shuffled")
    assert number.parameters == {"s_thr": "0.2", "max_depth": "3"}
    assert number.wording == "frames shuffled"


# Comparing


def test_the_same_thing_measured_in_the_same_way_compares():
    (comparison,) = match(REPRODUCTION, [_number()])
    assert comparison.comparable
    assert comparison.reasons == ()
    assert comparison.difference == pytest.approx(-0.7)
    assert comparison.within is True


@pytest.mark.parametrize(("value", "within"), [("59.3", False), ("59.4", True), ("64.5", True), ("64.6", False)])
def test_within_is_our_interval(value, within):
    (comparison,) = match(REPRODUCTION, [_number(value=value)])
    assert comparison.within is within


def test_without_an_interval_nothing_is_within():
    (comparison,) = match(_mine(low=None, high=None), [_number()])
    assert comparison.within is None


@pytest.mark.parametrize(
    ("theirs", "mine", "reason"),
    [
        ({"model": "LLaVA-Video-72B"}, {}, "another model: theirs is LLaVA-Video-72B, ours LLaVA-Video-7B-Qwen2"),
        ({"answerer_kind": "llava_onevision", "model": "LLaVA-OV-7B"}, {}, "another model"),
        ({"answerer_kind": ""}, {}, "another model"),
        ({"frames": "32"}, {}, "another number of frames: theirs is 32, ours 64"),
        ({"frames": "at most 64"}, {}, "theirs is at most 64, ours 64"),
        ({"frames": ""}, {}, "theirs is not known, ours 64"),
        ({"group": "duration=3600"}, {}, "another subset: theirs is duration=3600, ours all"),
        ({}, {"group": "duration=15", "n": 189, "n_total": 189}, "another subset: theirs is all, ours duration=15"),
        ({}, {"n": 400, "n_total": 400}, "another subset: ours are 400 of 1337 questions"),
        ({"scorer": "clip", "scorer_model": ""}, {}, "another scorer: theirs is clip, ours blip_itm"),
        ({"scorer": "", "scorer_model": ""}, {}, "another scorer: theirs is not known, ours blip_itm"),
        (
            {"scorer_model": "blip-itm-base-coco"},
            {},
            "another scorer: theirs is blip-itm-base-coco, ours blip-itm-large",
        ),
        ({"variant": "s_thr=0.8; max_depth=5"}, {}, "theirs has s_thr 0.8, ours 0.2; theirs has max_depth 5, ours 3"),
        ({"variant": "frames shuffled"}, {}, "another setting: frames shuffled"),
        ({}, {"protocol": "fair"}, "another protocol: theirs is released (the scripts of AKS's release), ours fair"),
        ({"protocol": "own"}, {}, "another protocol: theirs is the authors' own, ours released"),
        ({"subtitles": "yes"}, {}, "subtitles: theirs has some, ours none"),
        ({}, {"subtitles": "frames"}, "subtitles: ours has some, theirs none"),
        ({"metric": "m_avg"}, {}, "another metric: theirs is m_avg, ours accuracy_percent"),
    ],
)
def test_what_differs_is_said(theirs, mine, reason):
    (comparison,) = match(_mine(**mine), [_number(**theirs)])
    assert not comparison.comparable
    assert len(comparison.reasons) == 1
    assert reason in comparison.reasons[0]


@pytest.mark.parametrize(
    ("theirs", "mine", "remark"),
    [
        ({"sure": "issue"}, {}, "how theirs is known: issue"),
        ({"protocol": "own"}, {"protocol": "fair"}, "prompt, pictures and treatment of short videos not compared"),
        ({"subtitles": "unknown"}, {}, "whether theirs has subtitles is not known"),
        ({"scorer_model": ""}, {}, "the checkpoint of a scorer is not known"),
        ({}, {}, "parameters of theirs not known"),
        ({}, {"parameters": {"variant": "fair"}}, "ours is the fair form of the selector"),
        ({}, {"n": 1300}, "ours answered 1300 of 1337 questions"),
        ({"note": "as printed"}, {}, "as printed"),
    ],
)
def test_what_is_not_known_is_remarked_and_compares(theirs, mine, remark):
    (comparison,) = match(_mine(**mine), [_number(**theirs)])
    assert comparison.comparable
    assert remark in comparison.remarks


def test_a_setting_that_is_told_and_the_same_compares_without_a_remark():
    (comparison,) = match(REPRODUCTION, [_number(variant="s_thr=0.20; max_depth=3")])
    assert comparison.comparable
    assert comparison.remarks == ()


@pytest.mark.parametrize(
    ("model", "name", "same"),
    [
        ("lmms-lab/llava-onevision-qwen2-7b-ov", "LLaVA-OV-7B", True),
        ("lmms-lab/llava-onevision-qwen2-7b-ov", "LLaVA-OneVision-7B", True),
        ("lmms-lab/llava-onevision-qwen2-7b-ov-chat", "LLaVA-OneVision-7B", False),
        ("lmms-lab/llava-onevision-qwen2-7b-si", "LLaVA-OneVision-7B", False),
        ("lmms-lab/llava-onevision-qwen2-0.5b-ov", "LLaVA-OneVision-7B", False),
        ("./checkpoints/llava-onevision-qwen2-7b-ov/", "LLaVA-OneVision-7B", True),
        ("resources/demo/vlm", "LLaVA-OneVision-7B", False),
    ],
)
def test_a_checkpoint_is_the_model_that_papers_name(model, name, same):
    mine = _mine(answerer="llava_onevision", model=model)
    (comparison,) = match(mine, [_number(answerer_kind="llava_onevision", model=name)])
    assert comparison.comparable == same


def test_the_transformers_form_of_a_checkpoint_is_the_same_model_and_is_remarked():
    mine = _mine(answerer="llava_onevision_hf", model="llava-hf/llava-onevision-qwen2-7b-ov-hf")
    (comparison,) = match(mine, [_number(answerer_kind="llava_onevision", model="LLaVA-OV-7B")])
    assert comparison.comparable
    assert any("other code for the same weights" in remark for remark in comparison.remarks)


def test_a_newer_checkpoint_of_the_same_kind_is_another_model():
    theirs = _number(answerer_kind="internvl3", model="InternVL3-8B")
    for model, same in (("OpenGVLab/InternVL3-8B-hf", True), ("OpenGVLab/InternVL3_5-8B-HF", False)):
        (comparison,) = match(_mine(answerer="internvl3", model=model), [theirs])
        assert comparison.comparable == same


def test_the_nearest_come_first_and_only_a_few():
    numbers = [
        _number(place="frames", frames="8"),
        _number(place="frames and setting", frames="32", variant="frames shuffled"),
        _number(place="nearer frames", frames="32"),
        _number(place="protocol", protocol="own"),
        _number(place="an issue", sure="issue"),
        _number(place="the same"),
        _number(place="three things", frames="8", group="duration=15", model="LLaVA-Video-72B"),
        _number(place="another method", method="bolt"),
        _number(place="another data set", dataset="videomme"),
        _number(place="a gain", metric="gain_points", value="3.8"),
    ]
    found = [comparison.theirs.place for comparison in match(REPRODUCTION, numbers, limit=10)]
    assert found == ["the same", "an issue", "protocol", "nearer frames", "frames", "frames and setting"]
    assert len(match(REPRODUCTION, numbers, limit=2)) == 2


def test_a_trial_run_is_compared_with_nothing():
    assert match(_mine(n=30, n_total=30), [_number()]) == []


def test_the_real_files_have_what_aks_reports_for_its_own_setting(published):
    best = match(REPRODUCTION, published)
    assert best[0].comparable
    assert {comparison.theirs.value for comparison in best if comparison.comparable} >= {62.7, 62.8}
    fair = match(_mine(protocol="fair"), published)
    assert not any(comparison.comparable and comparison.theirs.paper == "tang2025aks" for comparison in fair)


# From a row of a table

ROW = {
    "answerer": "ov",
    "method": "uniform",
    "scorer": None,
    "budget": 32,
    "control": None,
    "n": 2690,
    "n_total": 2700,
    "accuracy": 0.585,
    "accuracy_low": 0.566,
    "accuracy_high": 0.604,
    "lmms_eval": 58.4,
}
SPECS = {
    "dataset": "videomme",
    "answerer": {"kind": "llava_onevision", "model": "lmms-lab/llava-onevision-qwen2-7b-ov", "revision": "a" * 40},
    "selector": {"kind": "uniform", "convention": "linspace"},
}


def test_a_row_of_a_table_becomes_one_to_compare(published):
    mine = ours(ROW, **SPECS)
    assert (mine.budget, mine.accuracy, mine.low, mine.high, mine.n, mine.group) == (32, 0.585, 0.566, 0.604, 2690, "")
    found = match(mine, published, limit=10)
    (bolt,) = (one for one in found if one.theirs.paper == "liu2025bolt" and one.theirs.frames == 32)
    assert (bolt.theirs.value, bolt.difference, bolt.within, bolt.comparable) == (58.5, 0.0, True, True)
    (aks,) = (one for one in found if one.theirs.place == "Table 1" and one.theirs.paper == "tang2025aks")
    assert aks.theirs.value == 56.5
    assert aks.reasons == ("another protocol: theirs is released (the scripts of AKS's release), ours fair",)


def test_a_row_that_was_read_from_a_file_is_the_same():
    written = {name: columns.written(name, value) for name, value in ROW.items()}
    assert ours(written, **SPECS) == ours(ROW, **SPECS)


def test_a_row_of_groups_names_its_group():
    row = ROW | {"grouping": "duration", "group": "long", "n": 895, "n_total": 900}
    assert ours(row, **SPECS).group == "duration=long"


def test_a_control_and_a_row_without_answers_are_compared_with_nothing():
    assert ours(ROW | {"control": "blank"}, **SPECS) is None
    assert ours(ROW | {"accuracy": None}, **SPECS) is None
    assert ours(ROW | {"accuracy": ""}, **SPECS) is None


def test_the_average_over_tasks_is_the_number_of_lmms_eval_and_has_no_interval():
    mine = ours(ROW, **SPECS, metric="m_avg")
    assert (mine.metric, mine.low, mine.high) == ("m_avg", None, None)
    assert mine.accuracy == pytest.approx(0.584)
    assert ours(ROW | {"lmms_eval": None}, **SPECS, metric="m_avg") is None


def test_the_subset_of_egoschema_is_told_by_its_size():
    specs = SPECS | {"dataset": "egoschema"}
    assert ours(ROW | {"n": 500, "n_total": 500}, **specs).group == "split=subset"
    assert ours(ROW | {"n": 500, "n_total": 5031}, **specs).group == "split=full"


def test_the_released_scores_of_aks_are_those_of_its_scorers():
    aks = SPECS | {"selector": {"kind": "aks"}}
    for scores in AksOutscores.model_fields["scores"].annotation.__args__:
        mine = ours(ROW, **aks, scorer={"kind": "aks_outscores", "scores": scores})
        assert mine.scorer_model == CHECKPOINTS[scores]
    assert ours(ROW, **aks, scorer={"kind": "aks_outscores", "scores": "blip"}).scorer == "blip_itm"
    lavis = ours(ROW, **aks, scorer={"kind": "blip_itm_lavis", "model": "./blip"})
    (comparison,) = match(lavis.model_copy(update={"protocol": "released"}), [_ov_with_blip()])
    assert comparison.comparable
    assert "the checkpoint of a scorer is not known" in comparison.remarks


def _ov_with_blip():
    return _number(dataset="videomme", model="LLaVA-OV-7B", answerer_kind="llava_onevision", frames="32", value="58.4")


def test_a_table_of_comparisons_has_all_columns():
    mine = ours(ROW, **SPECS)
    rows = comparison_rows([(ROW, mine), (ROW, None)], [_number(method="uniform", dataset="videomme", scorer="")], 1)
    assert rows == []  # another model, other frames and another protocol: too far
    theirs = _number(method="uniform", dataset="videomme", scorer="", scorer_model="", protocol="own", frames="32")
    (row,) = comparison_rows([(ROW, mine), (ROW, None)], [theirs])
    assert set(COMPARISON_COLUMNS) <= set(row)
    assert (row["answerer"], row["ours"], row["theirs"], row["comparable"]) == ("ov", 58.5, 62.7, False)
    assert math.isclose(row["difference"], -4.2)
    for name in row:
        columns.written(name, row[name])


def test_questions_are_those_of_the_datasets():
    from framesift.data.benchmarks import egoschema, longvideobench, lvbench, mlvu, videomme

    for module, kind in (
        (videomme, "videomme"),
        (longvideobench, "longvideobench"),
        (mlvu, "mlvu"),
        (lvbench, "lvbench"),
    ):
        assert f"{QUESTIONS[kind, '']:,}" in module.__doc__
    assert f"{QUESTIONS['egoschema', 'split=full']:,}" in egoschema.__doc__
    assert "500" in egoschema.__doc__
    groups = [n for (kind, group), n in QUESTIONS.items() if kind == "longvideobench" and group]
    assert sum(groups) == QUESTIONS["longvideobench", ""]
