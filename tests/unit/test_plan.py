"""The plan: which ids and files change with which setting."""

import copy
import os
from pathlib import Path

import pytest
import yaml

from framesift.config.load import load_config
from framesift.config.plan import Plan
from framesift.config.tables import Tables
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError
from framesift.data.shards import assign_shards
from framesift.video.table import Video

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def raw(monkeypatch):
    monkeypatch.chdir(ROOT)
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    raw["tables"]["videomme"]["scorers"] = ["clip", "demo_blip"]
    return raw


def files(raw):
    """Every file of the table `videomme`, by what it is."""
    plan = Plan(load_config(raw))
    table = plan.table("videomme")
    found = {"labels": plan.labels(table.dataset), "videos": plan.videos(table.dataset)}
    for cell in plan.cells("videomme"):
        name = f"{cell.selector_name} {cell.scorer_name}"
        if cell.selecting.scorer:
            found[f"scores {cell.scorer_name}"] = plan.scores(table.dataset, cell.selecting.scorer)
        found[f"selection {name}"] = plan.selection(table.dataset, cell.selecting)
        found[f"answers {name}"] = plan.answers(table.dataset, cell.answering, cell.selecting)[0]
    return found


def changed(raw, edit):
    other = copy.deepcopy(raw)
    edit(other)
    before, after = files(raw), files(other)
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_another_revision_of_a_scorer_concerns_its_own_results(raw):
    assert changed(raw, lambda other: other["scorers"]["clip"].update(revision="1" * 40)) == {
        "scores clip",
        *(f"{what} {method} clip" for what in ("selection", "answers") for method in ("topk", "aks")),
    }


def test_another_revision_of_the_answerer_concerns_all_answers(raw):
    found = changed(raw, lambda other: other["answerers"]["llava_onevision_7b"].update(revision="1" * 40))
    assert found == {name for name in files(raw) if name.startswith("answers")}


@pytest.mark.parametrize(
    ("section", "name", "field", "value"),
    [
        ("scorers", "clip", "label", "CLIP"),
        ("scorers", "clip", "batch_size", 7),
        ("selectors", "aks", "label", "AKS"),
        ("datasets", "videomme", "data_dir", "elsewhere"),
        ("datasets", "videomme", "limit", 5),  # other content, same place: the cache knows the videos
    ],
)
def test_what_never_moves_a_file(raw, section, name, field, value):
    assert changed(raw, lambda other: other[section][name].update({field: value})) == set()


def test_a_renamed_entry_keeps_its_results(raw):
    other = copy.deepcopy(raw)
    other["selectors"]["mine"] = other["selectors"].pop("aks")
    for table in other["tables"].values():
        table["selectors"] = ["mine" if name == "aks" else name for name in table["selectors"]]
        if "aks" in table.get("pairs", {}):
            table["pairs"]["mine"] = table["pairs"].pop("aks")
    assert set(files(raw).values()) == set(files(other).values())


def test_a_selector_without_scores_has_one_cell(raw):
    cells = Plan(load_config(raw)).cells("videomme")
    assert [(cell.selector_name, cell.scorer_name) for cell in cells] == [
        ("uniform", None), ("topk", "clip"), ("topk", "demo_blip"), ("aks", "clip"), ("aks", "demo_blip"),
    ]  # fmt: skip


def test_controls_are_rows_of_the_baseline(raw):
    raw["tables"]["videomme"]["controls"] = ["blank", "shuffled"]
    cells = Plan(load_config(raw)).cells("videomme")
    assert [(cell.selector_name, cell.answering.control) for cell in cells] == [
        ("uniform", None), ("uniform", "blank"), ("uniform", "shuffled"), *[("topk", None)] * 2, *[("aks", None)] * 2,
    ]  # fmt: skip
    raw["tables"]["videomme"]["controls"] = []
    assert all(not cell.answering.control for cell in Plan(load_config(raw)).cells("videomme"))


def test_how_questions_are_put_decides_where_answers_are(raw):
    for key, value in {
        "controls": ["blank"], "protocol": "released", "prompt": {"post_prompt": "?"}, "subtitles": "all",
    }.items():  # fmt: skip
        other = copy.deepcopy(raw)
        other["tables"]["videomme"][key] = value
        if key == "subtitles":
            other["datasets"]["videomme"]["subtitles"] = "subtitle"
        specs = [Tables(Plan(load_config(one))).spec("videomme") for one in (raw, other)]
        places = [{cell["id"] for cell in spec["cells"]} for spec in specs]
        assert len(places[1] - places[0]) == (1 if key == "controls" else 5), key


def test_the_released_protocol_tells_the_uniform_arm(raw):
    raw["tables"]["videomme"]["protocol"] = "released"
    plan = Plan(load_config(raw))
    specs = {
        cell.selector_name: plan.answer_spec("videomme", cell.answering, cell.selecting)
        for cell in plan.cells("videomme")
    }
    assert [specs[name].get("uniform") for name in ("uniform", "topk", "aks")] == ["linspace", None, None]
    assert {spec["budget"] for spec in specs.values()} == {32}


def test_a_loaded_model_is_told_what_else_is_asked(raw):
    """All other cells of the dataset with this answerer; each job from its own place on, so that they meet half way."""
    raw["tables"]["videomme"]["controls"] = ["blank"]
    raw["tables"]["more"] = {**raw["tables"]["videomme"], "budgets": [8], "controls": []}
    plan = Plan(load_config(raw))
    cells = plan.cells("videomme")
    also = [plan.also_answered("videomme", cell.answering, cell.selecting) for cell in cells]
    assert {len(others) for others in also} == {6 + 5 - 1}
    assert len({others[0][0] + str(others[0][1]) for others in also}) == len(cells)
    assert {key for others in also for _, spec in others for key in spec} == {"protocol", "control"}
    controls = [spec.get("control") for _, spec in also[0]]
    assert controls.count("blank") == 1


def test_a_prompt_and_a_judge_must_be_there(raw):
    for key, value, message in (
        ("prompt", "defualt", "has no prompt of this name(.|\n)*did you mean 'default'"),
        ("subtitles", "all", "has no folder of subtitles"),
        ("judge", "gpt", "there is no judge of this name"),
        ("runs", ["theirs"], "there is no run of this name"),
        ("controls", ["noise"], "controls"),
    ):
        other = copy.deepcopy(raw)
        other["tables"]["videomme"][key] = value
        with pytest.raises(InputError, match=message):
            load_config(other)


def test_a_table_that_is_not_there(raw):
    with pytest.raises(InputError, match="hint: did you mean 'videomme'"):
        Plan(load_config(raw)).table("videome")


def test_tables_at_hand(raw, tmp_path):
    assert Plan(load_config(raw)).tables_at_hand() == ["demo", "retake_demo", "mllm_ablation_demo"]
    (tmp_path / "labels.json").touch()
    raw["datasets"]["videomme"] |= {"data_dir": str(tmp_path), "labels": "labels.json"}
    assert Plan(load_config(raw)).tables_at_hand() == ["demo", "retake_demo", "mllm_ablation_demo", "videomme"]


@pytest.fixture
def divided(tmp_path, monkeypatch):
    """Makes a plan of a table with embeddings, for numbers of shards and chunks; beside it lie the files of `there`."""
    monkeypatch.chdir(tmp_path)
    revision = "0" * 40
    raw = {
        "datasets": {"ds": {"kind": "videomme"}},
        "scorers": {"clip": {"kind": "clip", "model": "some/clip", "revision": revision}},
        "selectors": {"uniform": {"kind": "uniform"}, "mmr": {"kind": "mmr"}},
        "answerers": {"vlm": {"kind": "llava_onevision_hf", "model": "some/vlm", "revision": revision}},
        "tables": {
            "t": {"dataset": "ds", "answerers": ["vlm"], "scorers": ["clip"], "selectors": ["uniform", "mmr"],
                  "budgets": [8]},
        },
    }  # fmt: skip

    def plan(shards=1, chunks=1):
        raw["datasets"]["ds"] |= {"shards": shards, "chunks": chunks}
        return Plan(load_config(raw))

    return plan


def make(files, date=0):
    """The files, with a date of some seconds after 2001."""
    for file in map(Path, files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (10**9 + date, 10**9 + date))


def division(plan):
    """Into how many parts the table's scores, embeddings and answers (of either selector) are divided."""
    uniform, mmr = plan.cells("t")
    (scorer,) = plan.scorers
    return [
        len(files)
        for files in (
            plan.shard_scores("ds", scorer),
            plan.embeddings_needed("ds", mmr.selecting),
            plan.answers("ds", mmr.answering, mmr.selecting),
            plan.answers("ds", uniform.answering, uniform.selecting),
        )
    ]


def all_files(plan, cell=1):
    cell = plan.cells("t")[cell]
    return [
        *plan.shard_scores("ds", next(iter(plan.scorers))),
        *plan.embeddings_needed("ds", cell.selecting),
        *plan.answers("ds", cell.answering, cell.selecting),
    ]


def test_without_results_work_is_divided_as_configured(divided):
    assert division(divided(8, 4)) == [8, 8, 4, 4]
    assert division(divided(16, 2)) == [16, 16, 2, 2]


def table_specs(plan):
    tables = Tables(plan)
    return [tables.spec("t"), tables.judge_spec("t"), tables.report_spec("t")]


def test_what_is_finished_stays_divided_as_it_is(divided):
    before = divided(8, 4)
    make(all_files(before))
    for numbers in ((16, 12), (1, 1), (8, 4)):
        after = divided(*numbers)
        assert division(after) == [8, 8, 4, numbers[1]]
        if numbers[1] == 4:
            assert table_specs(after) == table_specs(before)
    make(all_files(before, cell=0))
    assert table_specs(divided(16, 12)) == table_specs(before)


def test_what_is_partly_there_is_divided_as_configured(divided):
    before = divided(8, 4)
    make([*all_files(before), *before.answers("ds", before.cells("t")[0].answering, before.cells("t")[0].selecting)])
    Path(before.shard_scores("ds", next(iter(before.scorers)))[3]).unlink()
    assert division(divided(16, 2)) == [16, 8, 4, 4]


def test_of_two_divisions_the_one_finished_last_counts(divided):
    """Whatever is configured, so that changing it reruns nothing."""
    for numbers, date in (((8, 4), 2), ((3, 6), 1)):
        folder = [Path(file).parent for file in all_files(divided(*numbers))]
        names = {parent: numbers[1] if "answers" in str(parent) else numbers[0] for parent in folder}
        for parent, n in names.items():
            suffix = {"scores": ".parquet", "embeddings": ".safetensors", "answers": ".json"}[parent.parts[1]]
            make([f"{parent}/{i}-of-{n}{suffix}" for i in range(1, n + 1)], date)
    assert {tuple(division(divided(*numbers))[:3]) for numbers in ((8, 4), (3, 6), (5, 5))} == {(8, 8, 4)}


def test_other_files_are_no_division(divided):
    file = Path(all_files(divided(1, 1))[0])
    make([file.with_name(name) for name in ("2-of-2.parquet", "0-of-1.parquet", "a-of-b.parquet", ".1-of-1.parquet")])
    make([file.with_name("1-of-1.parquet.tmp"), file.with_name("1-of-0.parquet")])
    assert division(divided(4, 4)) == [4, 4, 4, 4]


def test_a_plan_decides_once(divided):
    """Snakemake removes the files of a job before it runs, while the plan goes on to be asked."""
    files = all_files(divided(8, 4))
    make(files)
    plan = divided(16, 12)
    assert division(plan) == [8, 8, 4, 12]
    for file in files:
        Path(file).unlink()
    assert division(plan) == [8, 8, 4, 12]
    assert division(divided(16, 12)) == [16, 16, 12, 12]


def test_shards_of_a_number_come_from_their_own_assignment(divided):
    """A job's name says the number, whatever is configured when the job starts."""
    assert divided(8).shards("ds", "16").endswith("-16.json")


def test_shards_are_balanced_and_stable():
    videos = {f"v{i}": Video(f"v{i}", "", duration=seconds) for i, seconds in enumerate([600, 10, 300, 300, 0, 590])}
    shards = assign_shards(videos, 3)
    assert shards == assign_shards(dict(reversed(videos.items())), 3)
    loads = [sum(videos[name].duration for name, shard in shards.items() if shard == n) for n in (1, 2, 3)]
    assert sorted(loads) == [600, 600, 600]
    assert set(shards) == set(videos)
    assert set(assign_shards(videos, 20).values()) <= set(range(1, 21))


def test_a_variant_of_an_answerer_is_a_method_of_that_one(raw):
    plan = Plan(load_config(raw))
    rows = [(cell["answerer"], cell["method"]) for cell in Tables(plan).spec("retake_demo")["cells"]]
    assert rows == [
        ("demo_vlm", "uniform"),
        *(("demo_vlm", f"uniform + {label}") for label in ("DPSelect", "PivotKV", "both")),
    ]


def test_a_variant_needs_what_it_is_a_variant_of(raw):
    raw["tables"]["retake_demo"]["answerers"] = ["demo_vlm_pivotkv"]
    with pytest.raises(InputError, match="variant of 'demo_vlm', which the table lacks"):
        load_config(raw)
    raw["answerers"]["demo_vlm_pivotkv"]["variant_of"] = "demo_vln"
    with pytest.raises(InputError, match="did you mean 'demo_vlm'"):
        load_config(raw)


def test_compression_decides_where_answers_are_and_its_names_do_not(raw):
    ids = []
    for change in ({}, {"label": "other"}, {"retake": {"ratio": 0.3, "dpselect": "none"}}):
        other = copy.deepcopy(raw)
        other["answerers"]["demo_vlm_pivotkv"].update(change)
        plan = Plan(load_config(other))
        [cell] = [cell for cell in plan.cells("retake_demo") if cell.answerer_name == "demo_vlm_pivotkv"]
        ids.append(plan.answering_id("demo", cell.answering))
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("more", [[], ["retake_2fps.yaml"]], ids=len)
def test_the_settings_of_the_releases_load(monkeypatch, more):
    from snakemake.utils import update_config

    monkeypatch.chdir(ROOT)
    raw = {}
    for name in ("config.yaml", "retake.yaml", *more):
        update_config(raw, yaml.safe_load((ROOT / "config" / name).read_text()))
    plan = Plan(load_config(raw))
    names = [name for name in plan.config.tables if name.startswith("retake_") and name != "retake_demo"]
    assert len(names) == 2 + 3 * len(more)
    for name in names:
        methods = {cell["method"] for cell in Tables(plan).spec(name)["cells"]}
        assert "aks" in methods
        assert any(method.startswith("aks + ReTaKe") for method in methods)


def test_a_mistake_inside_a_section_that_may_be_absent_is_explained(raw):
    raw["answerers"]["demo_vlm_pivotkv"]["retake"] = {"ratios": 0.25}
    with pytest.raises(InputError, match="did you mean 'ratio'") as caught:
        load_config(raw)
    assert "answerers.demo_vlm_pivotkv.retake.ratios" in str(caught.value)


TRAINED = {
    "selector": {"vision": {"kind": "patches", "model": "resources/demo/clip", "frames": 256}, "text": "question"},
    "labels": "demo_both",
    "data": ["demo_train"],
    "stages": [{"stage": 1, "tasks": ["importance"]}, {"stage": 2}],
}


def with_training(raw):
    raw["trained"] = {"mine": copy.deepcopy(TRAINED)}
    raw["scorers"]["mllm"] = {"kind": "mllm_selector", "model": "results/selectors/mine"}
    return raw


def test_a_scorer_takes_the_last_stage_of_the_selector_that_it_names(raw):
    plan = Plan(load_config(with_training(raw)))
    first, last = plan.trainings.values()
    scorer = plan.config.scorers["mllm"]
    assert scorer.model == plan.selector(last)
    assert plan.sources.trained_weights(scorer) == [scorer.model]
    assert plan.training_inputs(last)["initial"] == [plan.selector(first)]
    assert "initial" not in plan.training_inputs(first)


def test_another_second_stage_keeps_the_first(raw):
    before = Plan(load_config(with_training(raw))).trainings
    raw["trained"]["mine"]["stages"][1]["learning_rate"] = 1e-4
    after = Plan(load_config(raw)).trainings
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]


def test_what_divides_the_work_of_a_training_does_not_change_it(raw):
    before = Plan(load_config(with_training(raw))).trainings
    raw["trained"]["mine"] |= {"gpus": 4}
    raw["trained"]["mine"]["stages"][1] |= {"micro_batch": 2, "gradient_checkpointing": True, "save_every": 7}
    after = Plan(load_config(raw)).trainings
    assert list(before) == list(after)
    assert {" ".join(one.launcher()) for one in before.values()} == {"python"}
    assert {" ".join(one.launcher()) for one in after.values()} == {
        f"python {SCRIPTS}/on_gpus.py 4 torchrun --standalone --nproc-per-node=4"
    }


def test_models_that_label_get_what_decides_no_label_beside_the_spec(raw):
    local = {"kind": "transformers", "model": "someone/vlm", "revision": "0" * 40, "batch_size": 3}
    served = {"kind": "openai_api", "model": "someone", "parallel": 7}
    raw["scorers"]["labels"] = {"kind": "pseudo_labels", "labels": {"vlm": local, "llm": served}}
    plan = Plan(load_config(raw))
    connections = plan.config.scorers["labels"].connections()
    assert (connections["vlm"], connections["llm"]["parallel"]) == ({"batch_size": 3}, 7)
    peaks = plan.config.scorers["demo_both"]
    assert peaks.connections() == {}


def test_labels_that_are_there_keep_their_division(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = with_training(raw)
    before = Plan(load_config(raw))
    (first, *_) = before.trainings.values()
    given = before.training_inputs(first)
    for file in (*given["examples"], *given["features"]):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    raw["datasets"]["demo_train"]["shards"] += 3
    assert Plan(load_config(raw)).training_inputs(first) == given


def test_seconds_of_labels_are_those_of_labelling_and_of_the_scorer_that_stands_in(raw):
    plan = Plan(load_config(raw))
    cells = Tables(plan).spec("mllm_ablation_demo")["cells"]
    [features] = [cell["features"] for cell in cells if cell["scorer"] == "demo_temporal"]
    labels, scores = (Path(file) for file in features)
    assert labels.match("results/pseudo_labels/demo/pseudo_labels-*/[*]-of-2.json")
    assert scores.match("results/scores/demo/clip-*/[*]-of-2.parquet")


def test_another_scorer_that_stands_in_makes_other_labels_and_another_selector(raw):
    before = Plan(load_config(with_training(raw)))
    raw["scorers"]["demo_clip"]["text"] = "question_and_options"
    after = Plan(load_config(raw))
    assert before.config.scorers["demo_both"].stand_in != after.config.scorers["demo_both"].stand_in
    assert before.trainings.keys().isdisjoint(after.trainings)


def test_a_training_may_begin_with_a_trained_selector(raw, monkeypatch):
    monkeypatch.chdir(ROOT)
    fresh = copy.deepcopy(raw)
    initial = fresh["trained"]["demo"].pop("initial")
    plans = [Plan(load_config(one)) for one in (raw, fresh)]
    [(one, training)], [(other, without)] = (plan.trainings.items() for plan in plans)
    assert one != other
    options = plans[0].training_options(training)
    assert options[options.index("--initial") + 1] == initial
    assert initial in plans[0].network_parts(training)
    assert plans[0].sources.weights(*plans[0].network_parts(training)).startswith("weights:")
    assert "--initial" not in plans[1].training_options(without)
    assert initial not in plans[1].network_parts(without)
