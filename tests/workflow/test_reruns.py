"""The promise of exact reruns: each edit -> exactly the jobs that run again.

One project is run to its table; then each edit is made, Snakemake is asked what it would do, and the edit is undone.
What each key of the configuration costs is in `test_key_costs.py`.
"""

import copy
import json
import os
import shutil

import pytest
import yaml

from forecast import graph, reruns
from tiny import TABLE, VIDEOS, finished_project

TABLE_ONLY = {"make_table": 1}
JUDGED = {"judge_answers": 1, **TABLE_ONLY}
ALL_ANSWERS = {"evaluate": 5, **JUDGED}
ALL_SELECTIONS = {"select_frames": 5, **ALL_ANSWERS}
AFTER_VIDEOS = {"assign_shards": 1, "score_frames": 2, "merge_scores": 2, **ALL_SELECTIONS}
OF_ONE_SCORER = {"score_frames": 1, "merge_scores": 1, "select_frames": 2, "evaluate": 2, **JUDGED}
OF_AKS = {"select_frames": 2, "evaluate": 2, **JUDGED}
OF_NEW_SELECTOR = OF_AKS
NOTHING: dict[str, int] = {}

LIBRARY = "workflow/scripts/framesift"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = finished_project(tmp_path_factory.mktemp("reruns") / "project")
    project.jobs = graph(project, [TABLE])
    return project


@pytest.fixture
def restored(project):
    with project.restored():
        yield project


def set_config(path, value, **more):
    """Set a key, and others that are named with ``__`` for points."""

    def edit(project):
        for key, setting in {path: value, **{name.replace("__", "."): item for name, item in more.items()}}.items():
            *parents, last = key.split(".")
            place = project.config
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = setting

    return edit


def set_code(file, old, new):
    return lambda project: project.edit(file, old, new)


def append_code(file, line):
    def edit(project):
        path = project.folder / file
        path.write_text(f"{path.read_text()}\n{line}\n")

    return edit


def exchange_video(project):
    """Another video under the same name, with an older date than every result."""
    path = project.folder / "data" / "videos" / f"{VIDEOS[0]}.mp4"
    shutil.copy(project.folder / "data" / "videos" / f"{VIDEOS[1]}.mp4", path)
    os.utime(path, (10**9, 10**9))


def add_video(project):
    shutil.copy(project.folder / "data" / "videos" / f"{VIDEOS[1]}.mp4", project.folder / "data" / "videos" / "new.mp4")


def edit_label(project):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = project.folder / "data" / "labels.parquet"
    records = pq.read_table(path).to_pylist()
    records[0]["question"] += "?"
    pq.write_table(pa.Table.from_pylist(records), path)


def edit_evidence(project):
    path = project.folder / "data" / "evidence.json"
    evidence = json.loads(path.read_text())
    next(item for item in evidence.values() if item["spans"])["spans"][0][0] -= 1
    path.write_text(json.dumps(evidence))


def add_selector(use):
    """A new selector is one new file; it runs where a table names it."""

    def edit(project):
        text = (project.folder / LIBRARY / "selection" / "selectors" / "topk.py").read_text()
        text = (
            text.replace("TopK", "Bottom").replace('"topk"', '"bottom"').replace("best(candidates", "best(-candidates")
        )
        (project.folder / LIBRARY / "selection" / "selectors" / "bottom.py").write_text(text)
        if use:
            project.config["selectors"] = {"bottom": {"kind": "bottom"}}
            project.config["tables"]["tiny"]["selectors"] = ["uniform", "topk", "aks", "bottom"]

    return edit


def rewrite_config(project):
    """The same configuration, in another order and with other spelling of the numbers."""
    path = project.folder / "config" / "config.yaml"
    content = yaml.safe_load(path.read_text())
    content["selectors"]["aks"]["max_depth"] = float(content["selectors"]["aks"]["max_depth"])
    path.write_text("# a comment\n" + yaml.safe_dump(dict(reversed(content.items()))))


EDITS = {
    "nothing": (lambda project: None, NOTHING),
    "the same configuration, written otherwise": (rewrite_config, NOTHING),
    "a density that the rule of candidates does not use": (set_config("candidates.per_second", 2), NOTHING),
    "another rule of candidates": (
        set_config("candidates.rule", "timestamp"),
        {"index_videos": 1, **AFTER_VIDEOS},
    ),
    "a threshold": (set_config("selectors.aks.s_thr", 0.5), OF_AKS),
    "another budget": (set_config("tables.tiny.budgets", [6]), ALL_SELECTIONS),
    "one more budget": (set_config("tables.tiny.budgets", [4, 6]), ALL_SELECTIONS),
    "a budget written as text": (set_config("tables.tiny.budgets", ["4"]), NOTHING),
    "one scorer fewer, which was shown the same frames": (set_config("tables.tiny.scorers", ["demo_clip"]), JUDGED),
    "another decoder of the frames that scorers see": (
        set_config("decoder", "decord"),
        {"score_frames": 2, "merge_scores": 2, "select_frames": 4, "evaluate": 4, **JUDGED},
    ),
    "one selector fewer": (set_config("tables.tiny.selectors", ["uniform", "topk"]), JUDGED),
    "the display name of a selector": (set_config("selectors.aks.label", "AKS (L=5)"), TABLE_ONLY),
    "the display name of the answerer": (set_config("answerers.demo_vlm.label", "tiny VLM"), TABLE_ONLY),
    "the grouping of the table": (set_config("tables.tiny.group_by", "task_type"), TABLE_ONLY),
    "the seed, which only the bootstrap draws from": (set_config("seed", 1), TABLE_ONLY),
    "the text a scorer is asked": (set_config("scorers.demo_clip.text", "question_and_options"), OF_ONE_SCORER),
    "the batch size of a scorer": (set_config("scorers.demo_clip.batch_size", 3), NOTHING),
    "a negative control": (set_config("tables.tiny.controls", ["blank"]), {"evaluate": 1, **JUDGED}),
    "the protocol": (set_config("tables.tiny.protocol", "released"), ALL_ANSWERS),
    "the prompt": (set_config("tables.tiny.prompt", {"post_prompt": "Which?"}), ALL_ANSWERS),
    "who decides what an answer says": (set_config("tables.tiny.unparsed", "lmms_eval"), JUDGED),
    "an unused judge": (set_config("judges.mine", {"model": "m"}), NOTHING),
    "the longest answer": (set_config("answerers.demo_vlm.max_new_tokens", 4), ALL_ANSWERS),
    "an unused scorer": (
        set_config("scorers.other", {"kind": "clip", "model": "a/b", "revision": "0" * 40}),
        NOTHING,
    ),
    "the number of shards": (set_config("datasets.tiny.shards", 8), NOTHING),
    "the number of chunks": (set_config("datasets.tiny.chunks", 8), NOTHING),
    "the number of shards, and a scorer whose work that concerns": (
        set_config("datasets.tiny.shards", 8, scorers__demo_clip__text="question_and_options"),
        {"assign_shards": 1, **OF_ONE_SCORER, "score_frames": 8},
    ),
    "the number of chunks, and a threshold whose work that concerns": (
        set_config("datasets.tiny.chunks", 8, selectors__aks__s_thr=0.5),
        {**OF_AKS, "evaluate": 16},
    ),
    "the numbers of both, and a label": (
        lambda project: [
            edit_label(project),
            set_config("datasets.tiny", {**project.config["datasets"]["tiny"], "shards": 8, "chunks": 8})(project),
        ],
        {"convert_labels": 1, "index_videos": 1, **AFTER_VIDEOS},
    ),
    "one more selector, which needs no scores": (
        set_config("tables.tiny.selectors", ["uniform", "topk", "aks", "random"]),
        {"select_frames": 1, "evaluate": 1, **JUDGED},
    ),
    "one more selector, with two scorers": (
        set_config("tables.tiny.selectors", ["uniform", "topk", "aks", "bolt"]),
        {"select_frames": 2, "evaluate": 2, **JUDGED},
    ),
    "fewer questions": (
        set_config("datasets.tiny.limit", 3),
        {"convert_labels": 1, "index_videos": 1, **AFTER_VIDEOS},
    ),
    "a label": (edit_label, {"convert_labels": 1, "index_videos": 1, **AFTER_VIDEOS}),
    "an evidence span": (edit_evidence, TABLE_ONLY),
    "one video exchanged": (exchange_video, {"index_videos": 1, **AFTER_VIDEOS}),
    "one video added": (add_video, {"index_videos": 1, **AFTER_VIDEOS}),
    "a new selector that no table uses": (add_selector(use=False), NOTHING),
    "a new selector in the table": (add_selector(use=True), OF_NEW_SELECTOR),
    "the code of a selector": (set_code(f"{LIBRARY}/selection/selectors/aks.py", "quota == 1", "quota <= 1"), OF_AKS),
    "a comment in a selector": (
        set_code(f"{LIBRARY}/selection/selectors/aks.py", "# start, end", "# from, to"),
        NOTHING,
    ),
    "the documentation of a selector": (
        set_code(f"{LIBRARY}/selection/selectors/aks.py", '"Threshold', '"The bound'),
        NOTHING,
    ),
    "what all selectors share": (
        set_code(f"{LIBRARY}/selection/selectors/__init__.py", "n <= budget", "budget >= n"),
        ALL_SELECTIONS,
    ),
    # costly results follow declared versions (`test_survives_edits.py`)
    "the code of a scorer": (
        set_code(f"{LIBRARY}/scoring/scorers/clip.py", "truncation=True", "truncation=False"),
        NOTHING,
    ),
    "the code of the reader": (
        set_code(f"{LIBRARY}/video/reader.py", "skipping = False", "skipping = bool(0)"),
        {"index_videos": 1, **AFTER_VIDEOS},
    ),
    "the code that evaluates": (
        set_code(f"{LIBRARY}/answering/evaluate.py", '"random_seed": 0', '"random_seed": 1'),
        NOTHING,
    ),
    "the code that judges": (
        set_code(f"{LIBRARY}/judging/by_task.py", '("<analysis>", "</analysis>")', '("<a>", "</a>")'),
        JUDGED,
    ),
    "the code of the statistics": (set_code(f"{LIBRARY}/tables/statistics.py", "0.95", "0.9"), TABLE_ONLY),
    "the code of the display": (append_code("workflow/scripts/show_table.py", "print()"), NOTHING),
}


#: A new file of code: Python has looked at the old ones.
UNFORESEEN = "a new selector in the table"


#: `make test` tries these by dry runs too, `make test-all` all of them.
SOME = ("nothing", "the code of a selector", "one video exchanged", UNFORESEEN)
DRY_RUNS = [edit if edit in SOME else pytest.param(edit, marks=pytest.mark.slow) for edit in EDITS]


@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit != UNFORESEEN])
def test_exactly_these_jobs_are_forecast(edit, restored):
    change, expected = EDITS[edit]
    change(restored)
    assert dict(reruns(restored.jobs, graph(restored, [TABLE]))) == expected


@pytest.mark.parametrize("edit", DRY_RUNS)
def test_exactly_these_jobs_run_again(edit, restored):
    """So the forecast, which other tests rely on, is what Snakemake does."""
    change, expected = EDITS[edit]
    change(restored)
    assert dict(restored.would_run(TABLE)) == expected


def test_going_back_to_earlier_values_finds_the_earlier_results(restored):
    """Of a scorer, a selector, an answerer, a budget and a prompt; and the numbers of jobs differ on the way."""
    set_config(
        "scorers.demo_clip.text",
        "question_and_options",
        selectors__aks__s_thr=0.1,
        answerers__demo_vlm__max_new_tokens=4,
        tables__tiny__budgets=[6],
        tables__tiny__prompt={"post_prompt": "Which?"},
        datasets__tiny__shards=2,
    )(restored)
    there = {"assign_shards": 1, "score_frames": 2, "merge_scores": 1, **ALL_SELECTIONS}
    assert dict(restored.would_run(TABLE)) == there
    restored.run(TABLE)
    there_config = copy.deepcopy(restored.config)
    set_config("datasets.tiny.shards", 3, datasets__tiny__chunks=4)(restored)
    assert restored.would_run(TABLE) == {}
    for path, value in (
        ("scorers.demo_clip.text", "question"),
        ("selectors.aks.s_thr", 0.8),
        ("answerers.demo_vlm.max_new_tokens", None),
        ("tables.tiny.budgets", [4]),
        ("tables.tiny.prompt", None),
    ):
        set_config(path, value)(restored)
    assert dict(restored.would_run(TABLE)) == JUDGED
    restored.run(TABLE)
    assert restored.would_run(TABLE) == {}
    restored.config = there_config
    assert dict(restored.would_run(TABLE)) == JUDGED


def test_new_weights_rerun_their_scorer(restored):
    weights = restored.folder / "resources" / "demo" / "clip" / "config.json"
    before = weights.stat()
    text = weights.read_text()
    try:
        weights.write_text(text + "\n")
        assert dict(restored.would_run(TABLE)) == OF_ONE_SCORER
    finally:
        weights.write_text(text)
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
