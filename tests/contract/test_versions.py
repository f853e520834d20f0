"""Declared versions are honest: where an output changes, the version that identifies it must be raised.

`tests/golden/versions.json` holds the output of every stage and component on small fixed inputs. After a change that
is meant, raise the version that the failing test names, and record what the output is now:

    make versions
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

import asking
import barcode
import tiny_scorers
from fixed_weights import fix_weights
from framesift.answering.asker import LmmsRequest
from framesift.answering.lmms.task import ID_COLUMN
from framesift.answering.lmms.tasks import text_of
from framesift.answering.protocols import Presentation
from framesift.core.components import build, implementation, own_kinds
from framesift.core.versions import STAGES
from framesift.data.benchmarks import reader_of
from framesift.data.questions import Question
from tiny_checkpoints import WRITERS

RECORD = Path(__file__).parents[1] / "golden" / "versions.json"
TEXTS = ["what digit is on the red star", "who is on a blue circle"]
#: Of the weights (see `fix_weights`).
SCALE = {"scorers": 4.0, "encoders": 4.0}
#: Those whose checkpoint comes with Framesift.
SHIPPED = {"mllm_selector": {"model": "resources/demo/selector", "text": "question"}}
#: Float32 on different processors.
TOLERANCE = {"rtol": 2e-3, "atol": 2e-4}

NAMES = [
    *(f"stages.{name}" for name in STAGES),
    *(f"{family}.{kind}" for family in ("scorers", "encoders", "answerers", "datasets") for kind in own_kinds(family)),
]


def images() -> list[np.ndarray]:
    """Three pictures of smooth colour, so that no resampling makes a difference of its own."""
    y, x = np.mgrid[0:48, 0:64] / 64
    return [
        (127 + 120 * np.sin(6 * np.stack([x + i, y * (i + 1), x * y + i], axis=-1))).astype(np.uint8) for i in range(3)
    ]


def video(folder: Path):
    """A lossless video, its candidates, and a question about it."""
    from framesift.video.grid import CandidateGrid
    from framesift.video.table import describe_video

    path = folder / "video.mkv"
    barcode.write_video(path, 50, 10, (64, 48), codec="ffv1", options={})
    return describe_video(("video", path), CandidateGrid())


QUESTION = Question(
    question_id="q", video_id="video", question="What digit is on the red star?", options=["1", "2"], answer="A"
)


# What is recorded of each; numbers are compared with a tolerance, all else must be equal


def decoding(folder: Path):
    from framesift.video.decoders import read_candidates

    found = video(folder)
    frames = [frame[::16, ::16].ravel().tolist() for frame in read_candidates(found, "pyav")]
    return {"frames": found.frames, "times": found.times, "pixels": frames}


def scoring(folder: Path):
    from framesift.scoring.score_videos import VideoScorer, model_of

    tiny_scorers.write_clip(folder / "clip")
    fix_weights(folder / "clip", SCALE["scorers"])
    scorer = build("scorers", {"kind": "clip", "model": str(folder / "clip"), "batch_size": 2})
    model = model_of(scorer, "index", "pyav", folder / "cache", "cpu")
    with_questions = {"video": [QUESTION]}
    rows = VideoScorer([model], decoder="pyav", workers=1, timeout=60).score([video(folder)], with_questions)
    return [row.scores for [row] in rows]


def labelling(folder: Path):
    from framesift.scoring.mllm_selector import label_prompts as prompts
    from framesift.scoring.mllm_selector.label_settings import Peaks
    from framesift.training.labels import combine

    texts, question = prompts.Prompts(), prompts.question_text(QUESTION, "question_and_options")
    explained = prompts.explanation(texts, question, 3, 64)
    needed = prompts.needed_frames(texts, question, ["a star", "a circle"], 1, 64)
    requests = [explained, prompts.verdict(explained, "It does."), prompts.caption(texts, 3, 64), needed]
    requests.append(prompts.again(needed, "none", "no frame is named"))
    spatial = combine.min_max(np.array([0.1, 0.9, 0.2, 0.6, 0.1]))
    temporal = combine.peaks(spatial, Peaks())
    labels = combine.average(spatial, temporal, 0.5)
    return {
        "requests": [list(vars(one).values()) for one in requests],
        "labels": combine.interpolated(labels, np.array([0, 2, 4, 6, 8]), np.arange(9)).tolist(),
    }


def training(folder: Path):
    import torch

    from framesift.scoring.mllm_selector.batches import Draws
    from framesift.scoring.mllm_selector.losses import importance_loss, instruction_loss
    from framesift.scoring.mllm_selector.sampling import slots

    logits = torch.sin(torch.arange(12.0)).reshape(2, 6)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], dtype=torch.bool)
    draws = Draws([np.arange(0, 3), np.arange(3, 5), np.arange(5, 9)], 4, (1, 2))
    return {
        "importance": importance_loss(logits, logits.abs(), mask).item(),
        "instruction": instruction_loss([logits], [torch.tensor([1, 4])]).item(),
        "batches": [draws[number].tolist() for number in range(6)],
        "slots": slots(5, 8).tolist(),
    }


def answering(folder: Path):
    answerer = implementation("answerers", "llava_onevision_hf")(model="./model")
    request = asking.asked(answerer, asking.frames_of([3, 50, 299])).request
    put = LmmsRequest(request, {"task": {"test": [{"framesift_id": "question"}]}}, answerer.chat)
    shown = {
        str(control): Presentation(control=control, seed=1).frames([3, 50, 299], 300, 10.0, "question")
        for control in (None, "zeroed", "shuffled")
    }
    return {"prompt": put.prompt, "generation": put.generation, "shown": shown}


def scorer_or_encoder(family: str, kind: str, folder: Path):
    import torch

    made = checkpoint(family, kind, folder)
    loaded = made.load("cpu")
    form = made.pictures(loaded)
    pixels = form.normalised(np.stack([form.prepare(image) for image in images()]), "cpu").double()
    seen = [[one.mean().item(), one.abs().mean().item()] for one in pixels]
    if family == "scorers":
        return {"pixels": seen, "scores": tiny_scorers.scored(made, images(), TEXTS, loaded=loaded).tolist()}
    with torch.inference_mode():
        features = tiny_scorers.features_of(made, loaded, images()).float()
    return {"pixels": seen, "features": features.flatten()[::7].tolist()}


def answerer(kind: str, folder: Path):
    """The reply, and what the network was given."""
    with pytest.MonkeyPatch.context() as patch:
        calls = asking.spy(patch)
        made = checkpoint("answerers", kind, folder, dtype="float32")
        frames = asking.frames_of([3, 50, 299], size=(112, 112))
        frames[:] = [made.picture(frame) for frame in frames]
        reply = made.load("cpu").answer(asking.asked(made, frames, tokens=6))
    given = {
        name: [list(value.shape), value.double().mean().item(), value.double().abs().mean().item()]
        for name, value in sorted(calls[0].items())
        if hasattr(value, "shape")
    }
    return {"given": given, "frames": reply.given.frames, "times": reply.given.times, "reply": reply.text}


def dataset(kind: str, folder: Path):
    made = reader_of({"kind": kind})
    question = made.question(dict(made.example))
    document = {**made.document(dict(made.example), question), ID_COLUMN: question.question_id}
    return {
        prompt: text_of(document, {"framesift": {"yaml": made.lmms_task.yaml, "prompt": settings}})
        for prompt, settings in made.prompts.items()
    }


def checkpoint(family: str, kind: str, folder: Path, **fields):
    if kind in SHIPPED:
        return build(family, {"kind": kind, **SHIPPED[kind]})
    WRITERS[kind](folder)
    fix_weights(folder, SCALE.get(family, 1.0))
    return build(family, {"kind": kind, "model": str(folder), **fields})


def output(name: str, folder: Path):
    family, kind = name.split(".")
    if family == "stages":
        return globals()[kind](folder)
    if family == "datasets":
        return dataset(kind, folder)
    if kind not in WRITERS and kind not in SHIPPED:
        pytest.skip("tests/support/tiny_checkpoints.py writes no checkpoint of it")
    return answerer(kind, folder) if family == "answerers" else scorer_or_encoder(family, kind, folder)


def version(name: str) -> int:
    family, kind = name.split(".")
    return STAGES[kind] if family == "stages" else implementation(family, kind).version


def same(one, other) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return bool(np.isclose(one, other, **TOLERANCE))
    return one == other


@pytest.mark.parametrize("name", NAMES)
def test_an_output_that_changes_has_another_version(name, tmp_path):
    found = json.loads(json.dumps(output(name, tmp_path)))
    recorded = json.loads(RECORD.read_text()).get(name)
    assert recorded, f"{name} is new: record its output with `make versions`"
    place = f"STAGES in core/versions.py: {name}" if name.startswith("stages.") else f"the version of {name}"
    if version(name) == recorded["version"]:
        assert same(found, recorded["output"]), (
            f"{name} gives another output than before, so results made with it would differ from those in the caches of"
            f" users. If that is meant, raise {place} to {recorded['version'] + 1} and run `make versions`"
        )
    else:
        assert version(name) > recorded["version"], f"{place} must not fall below {recorded['version']}"
        assert same(found, recorded["output"]), f"{place} was raised: record its output with `make versions`"


@pytest.mark.parametrize("family", ["scorers", "encoders", "answerers", "datasets"])
def test_every_component_declares_a_version(family):
    assert {kind: version(f"{family}.{kind}") for kind in own_kinds(family)} == dict.fromkeys(own_kinds(family), 1) | {
        name.split(".")[1]: entry["version"]
        for name, entry in json.loads(RECORD.read_text()).items()
        if name.startswith(f"{family}.")
    }


def record(folder: Path) -> None:
    """Write the outputs of today."""
    recorded = {}
    for name in NAMES:
        (place := folder / name).mkdir(parents=True)
        try:
            recorded[name] = {"version": version(name), "output": output(name, place)}
        except pytest.skip.Exception:
            continue
    RECORD.write_text(json.dumps(recorded, indent=None, sort_keys=True, default=float).replace("}, ", "},\n") + "\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder))
