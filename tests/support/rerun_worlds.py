"""A small configuration around each key, in which that key matters, and the targets that bring in every rule.

Nothing of it is run: the checkpoints and datasets need not exist.
"""

from __future__ import annotations

import copy
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from forecast import Job, graph, reruns
from framesift.answering.retake.settings import Retake
from framesift.config.load import read_config
from framesift.core.components import implementation
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from keys import Key, other_values
from project import ROOT, Project

COMMIT, OTHER_COMMIT = "0" * 40, "1" * 40
SCORER = {"kind": "clip", "model": "someone/clip", "revision": COMMIT}
ANSWERER = {"kind": "llava_onevision_hf", "model": "someone/vlm", "revision": COMMIT}
LOCAL = {"kind": "transformers", "model": "someone/vlm", "revision": COMMIT}
SERVED = {"kind": "openai_api", "model": "someone"}
#: What labels frames, by the kind in brackets of a key.
LABELLERS: dict[str, dict[str, Any]] = {
    "vlm[openai_api]": {"vlm": SERVED},
    "vlm[scorer]": {"vlm": {"kind": "scorer", "scorer": "clip"}, "weight": 0},
    "llm[transformers]": {"vlm": SERVED, "llm": LOCAL},
    "llm[openai_api]": {"vlm": LOCAL, "llm": SERVED},
    "llm[peaks]": {"vlm": LOCAL, "llm": {"kind": "peaks"}},
}
TRAINED = {
    "selector": {
        "vision": {"kind": "patches", "model": "someone/vision", "revision": COMMIT},
        "llm": {"model": "someone/llm", "revision": COMMIT},
    },
    "labels": "labels",
    "data": ["seen"],
    "validation": ["held"],
    "stages": [{"stage": 1, "tasks": ["importance"]}, {"stage": 2}],
}
WORLD = {"data_dir": "results/far", "labels": "labels.parquet", "videos": "videos", "download": False}
PAGES = (
    *("tables/{}.csv", "report/{}.html", "figures/{}", "manifests/{}.json"),
    *("measures/{}.csv", "methods/{}.tex", "published/{}.csv"),
)
#: Values where the model does not say which there are: files, names, lists.
VALUES: dict[str, Any] = {
    "plugins": [str(ROOT / "tests")],  # a folder without components
    "datasets.*.revision": OTHER_COMMIT,
    "datasets.*.question_ids": ["q"],
    "datasets.*.video_ids": ["v"],
    "datasets.*.groups": {"duration": ["short"]},
    "datasets.*.evidence": "evidence.json",
    "datasets.custom.columns.options": ["a", "b"],
    "datasets.custom.columns.groups": ["kitchen"],
    "scorers.*.model": "someone/other",
    "scorers.*.revision": OTHER_COMMIT,
    "scorers.sevila.localizer": "data/given",
    "encoders.*.model": "someone/other",
    "encoders.*.revision": OTHER_COMMIT,
    "selectors.adaptive.context": 0.5,
    "selectors.imported.format": "wfs_sb",
    "selectors.imported.selection": "data/other",
    "selectors.imported.original": "data/other",
    "answerers.*.model": "someone/other",
    "answerers.*.revision": OTHER_COMMIT,
    "answerers.openai_api.max_side": 336,
    "answerers.*.extra": {"top_p": 1},
    "answerers.*.variant_of": "other_answerer",
    "answerers.pllava.pooling_shape": [8, 12, 12],
    "judges.*.extra": {"top_p": 1},
    "runs.*.samples": "data/other",
    "runs.*.results": "data/other",
    "tables.*.dataset": "other_dataset",
    "tables.*.answerers": ["answerer", "other_answerer"],
    "tables.*.scorers": ["scorer", "other_scorer"],
    "tables.*.encoder": "encoder",
    "tables.*.selectors": ["uniform", "topk", "frames", "random"],
    "tables.*.budgets": [4, 8],
    "tables.*.baseline": "topk",
    "tables.*.controls": ["blank"],
    "tables.*.prompt": {"post_prompt": "Which?"},
    "tables.*.judge": "judge",
    "tables.*.runs": ["run"],
    "scorers.pseudo_labels.labels.vlm": LOCAL | {"model": "someone/other"},
    "scorers.pseudo_labels.labels.llm": {"kind": "peaks"},
    **{
        f"scorers.pseudo_labels.labels.{name}[{kind}].{key}": value
        for name in ("vlm", "llm")
        for kind, key, value in (
            ("transformers", "model", "someone/other"),
            ("transformers", "revision", OTHER_COMMIT),
            ("transformers", "template", {"enable_thinking": False}),
            ("openai_api", "extra", {"top_p": 1}),
        )
    },
    "scorers.pseudo_labels.labels.vlm[scorer].scorer": "other_scorer",
    "scorers.mllm_selector.encoder": "someone/encoder",
    "scorers.mllm_selector.llm": "someone/llm",
    "encoders.patches.layer": -2,
    "trained.*.selector.vision.layer": -2,
    "trained.*.selector.vision.model": "someone/other",
    "trained.*.selector.vision.revision": OTHER_COMMIT,
    "trained.*.selector.llm.model": "someone/other",
    "trained.*.selector.llm.revision": OTHER_COMMIT,
    "trained.*.selector.read_out": -1,
    "trained.*.selector.template": "Which frames? {question}",
    "trained.*.labels": "other_labels",
    "trained.*.data": ["seen", "held"],
    "trained.*.validation": [],
    "trained.*.initial": "data/set",
    "trained.*.instructions": ["data/given"],
    "trained.*.stages": [{"stage": 1, "tasks": ["importance"]}],
    **{f"trained.*.stages[{stage}].lora.targets": ["q_proj"] for stage in (1, 2)},
    **{f"trained.*.stages[{stage}].train_llm": "all" for stage in (1, 2)},
    "trained.*.stages[1].tasks": ["instruction", "importance"],
    "trained.*.stages[2].tasks": ["instruction"],
    "tables.*.pairs": {"topk": ["scorer"]},
    "demo.world.frame_size": 192,
    "demo.worlds.*.frame_size": 192,
}
#: What else must be set for a key to count.
WITH: dict[str, dict[str, Any]] = {
    **{f"selectors.aks.{name}": {"variant": "released"} for name in ("t2", "ratio")},
    **{f"selectors.qframe.{name}": {"variant": "released"} for name in ("high", "mid", "low")},
    **{f"answerers.*.retake.{name}": {"retake": {}} for name in Retake.model_fields},
    "answerers.*.retake.dpselect_ratio": {"retake": {"dpselect": "drop"}},
}
#: What else must change with a key: frames and texts of a selector are those of its labels.
TOGETHER: dict[str, dict[str, Any]] = {
    "trained.*.selector.vision.frames": {"labels": {"labels": {"n": 129}}},
    "trained.*.selector.text": {"labels": {"labels": {"text": "question"}}, "selector": {"text": "question"}},
}


def world(key: Key) -> dict[str, Any]:
    """A configuration with one table, `small`, in which what has the key is used.

    Two selectors, so that it shows whether a change of one concerns the other.
    """
    config: dict[str, Any] = {
        "datasets": {"dataset": {"kind": "videomme", "data_dir": "data/set", "subtitles": "subtitle"}},
        "scorers": {"scorer": dict(SCORER)},
        "encoders": {"encoder": {"kind": "dino", "model": "someone/dino", "revision": COMMIT}},
        "selectors": {"frames": {"kind": "dpselect"}},
        "answerers": {"answerer": dict(ANSWERER)},
        "judges": {"judge": {"model": "someone"}},
        "runs": {"run": {"samples": "data/given", "answerer": "theirs", "method": "theirs", "budget": 4}},
    }
    table: dict[str, Any] = {
        "dataset": "dataset",
        "answerers": ["answerer"],
        "scorers": ["scorer"],
        "selectors": ["uniform", "topk"],
        "budgets": [4],
    }
    if key.kind:
        name = next(iter(config[key.section]))
        config[key.section][name] = _required(key.section, key.kind) | WITH.get(key.name, {})
    if key.section == "tables":
        config["datasets"]["other_dataset"] = {"kind": "lvbench"}
        config["scorers"]["other_scorer"] = {**SCORER, "kind": "siglip", "model": "someone/siglip"}
        config["answerers"]["other_answerer"] = {**ANSWERER, "max_new_tokens": 7}
        table["selectors"].append("frames")
        if key.name == "tables.*.pairs":
            table["scorers"].append("other_scorer")
    elif key.section == "trained":
        config["datasets"] |= {"seen": {"kind": "lvbench"}, "held": {"kind": "mlvu"}}
        config["scorers"] |= {
            "selector": {"kind": "mllm_selector", "model": "results/selectors/mine"},
            "labels": {"kind": "pseudo_labels", "labels": {"vlm": LOCAL}},
            "other_labels": {"kind": "pseudo_labels", "labels": {"vlm": LOCAL, "weight": 0}},
        }
        config["trained"] = {"mine": copy.deepcopy(TRAINED)}
        if key.path[-1] == "tasks":
            config["trained"]["mine"]["instructions"] = ["data/given"]
        if key.name == "trained.*.stages[2].tasks":  # adapters learn no instructions
            config["trained"]["mine"]["stages"][1]["train_llm"] = "none"
        table["scorers"] = ["selector"]
    elif key.kind == "pseudo_labels":
        variant = next((LABELLERS[step] for step in key.path if step in LABELLERS), {"vlm": LOCAL})
        config["scorers"]["scorer"]["labels"] = copy.deepcopy(variant)
        if "[scorer]" in key.name:
            config["scorers"] |= {"clip": SCORER, "other_scorer": {**SCORER, "model": "someone/other"}}
    elif key.name.startswith("demo.worlds."):
        config["demo"] = {"worlds": {"far": {"prefix": "far"}}}
        config["datasets"]["dataset"] = {"kind": "videomme", **WORLD}
    elif key.kind == "patches":
        pass  # no table can use it: it is for trainings, and each of those has one of its own
    elif key.section == "encoders":
        table |= {"selectors": ["uniform", "frames"], "encoder": "encoder"}
    elif key.section == "selectors":
        table |= {"selectors": ["topk", "frames"], "baseline": "topk"}
    elif key.name == "answerers.*.variant_of":
        config["answerers"]["other_answerer"] = {**ANSWERER, "max_new_tokens": 7}
        table["answerers"] = ["answerer", "other_answerer"]
    elif key.section == "judges":
        table["judge"] = "judge"
    elif key.section == "runs":
        table["runs"] = ["run"]
    elif key.name == "seed":
        table |= {"selectors": ["uniform", "random"], "controls": ["shuffled"]}
    elif key.name == "candidates.per_second":
        config["candidates"] = {"rule": "timestamp"}
    return config | {"tables": {"small": table}}


def _required(section: str, kind: str) -> dict[str, Any]:
    fields = implementation(section, kind).model_fields
    known = {
        "model": "someone/model",
        "revision": COMMIT,
        "data_dir": "data/set",
        "labels": "labels.csv",
        "scores": "clip",
        "format": "aks",
        "selection": "data/given",
        "original": "data/given",
    }
    needed = {name: value for name, value in known.items() if name in fields and fields[name].is_required()}
    if section == "datasets":
        needed |= {name: known[name] for name in ("data_dir", "labels")} | {"videos": "videos"}
    if "model" in needed and "revision" in fields:
        needed["revision"] = COMMIT
    return {"kind": kind, **needed}


def targets(key: Key) -> list[str]:
    demo = key.section == "demo" and key.path[0] != "worlds"
    return [f"results/{page}".format("demo" if demo else "small") for page in PAGES]


class Forecaster:
    """Foretells what keys cost, in a copy of the project in which nothing is run.

    Parameters
    ----------
    project : Project
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.known: dict[str, list[Job]] = {}
        _keep_only_the_demo(project.folder / "config" / "config.yaml")
        for name in ("given", "other", "set/labels.csv", "set/evidence.json", "set/videos/a.mp4"):
            file = project.folder / "data" / name  # some values name them; nobody reads them
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    def costs(self, key: Key) -> tuple[dict[str, int], dict[str, int]]:
        """The jobs that another value of the key costs, and those of going back to the first value."""
        project = self.project
        project.config = world(key)
        before = self._graph(key)
        results = project.folder / "results"
        for job in before:  # some choices depend on what is there
            for file in job.output:
                (project.folder / file).parent.mkdir(parents=True, exist_ok=True)
                (project.folder / file).touch()
        try:
            project.config = _edited(key, project)
            after = self._graph(key)
        finally:
            shutil.rmtree(results)
        return dict(reruns(before, after)), dict(reruns([*before, *after], before))

    def _graph(self, key: Key) -> list[Job]:
        text = canonical_json([self.project.config, targets(key)])
        if text not in self.known:
            self.known[text] = graph(self.project, targets(key))
        return self.known[text]


def _keep_only_the_demo(file: Path) -> None:
    """Reading what no key here uses would take a fifth of the time."""
    content = yaml.safe_load(file.read_text())
    table = content["tables"]["demo"]
    uses = {section: table[section] for section in ("scorers", "selectors", "answerers")} | {
        "datasets": ["demo"],
        "tables": ["demo"],
    }
    for section, names in uses.items():
        content[section] = {name: content[section][name] for name in names}
    del content["trained"], content["demo"]
    content["selectors"]["random"] = {"kind": "random"}
    file.write_text(yaml.safe_dump(content))


def _inside(place: dict[str, Any], step: str) -> dict[str, Any]:
    """What a step of a key's path leads to: see `keys.Key`."""
    if step == "*":
        return place[next(iter(place))]
    name, _, variant = step.rstrip("]").partition("[")
    inner = place.setdefault(name, {})
    return next(one for one in inner if str(one["stage"]) == variant) if isinstance(inner, list) else inner


def _edited(key: Key, project: Project) -> dict[str, Any]:
    """The configuration of the project with another value of the key."""
    for value in (VALUES[key.name],) if key.name in VALUES else other_values(key.field):
        config = copy.deepcopy(project.config)
        place = config
        if key.path:
            place = config.setdefault(key.section, {})
            if key.kind or key.name.split(".")[1] == "*":
                place = place[next(iter(place))]
        *parents, last = key.path or (key.section,)
        for parent in parents:
            place = _inside(place, parent)
        place[last] = value
        for name, others in TOGETHER.get(key.name, {}).items():
            scorer = config["scorers"][name]
            for setting, other in others.items():
                scorer[setting] = {**scorer.get(setting, {}), **other} if isinstance(other, dict) else other
        (project.folder / "test.yaml").write_text(yaml.safe_dump(config))
        with suppress(InputError):  # a value that is not allowed: the next one
            read_config(project.folder / "config" / "config.yaml", project.folder / "test.yaml")
            return config
    raise AssertionError(f"no other value of {key.name} is known: add one to VALUES in tests/support/rerun_worlds.py")
