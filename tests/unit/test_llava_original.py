"""LLaVA-Video and LLaVA-OneVision through `llava`: in its own environment where it is installed, else a stand-in."""

import json
import os
import re
import subprocess
import sys

import pytest

import barcode
import tiny_llava_video
from framesift.answering.answer_file import read_answers
from framesift.core.code_digest import SCRIPTS
from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.data.benchmarks.videomme import VideoMME
from framesift.data.labels import convert
from framesift.selection.select_frames import Selected, write_selection
from framesift.storage.files import write_json
from framesift.video.grid import CandidateGrid
from framesift.video.table import describe_video, write_videos

ROOT = SCRIPTS.parent.parent
LLAVA = ROOT / ".venv-llava"
SUPPORT = ROOT / "tests" / "support"
needs_llava = pytest.mark.skipif(not (LLAVA / "llava.done").exists(), reason="needs make llava")

KINDS = ("llava_vid", "llava_onevision")
SHOWN = {"one": [7], "sorted": [3, 50, 51, 52, 299], "unsorted": [250, 3, 120]}
#: AKS's settings of LLaVA-Video.
AKS = {
    "conv_template": "chatml_direct", "add_time_instruction": False, "dtype": "float16",
    "mm_spatial_pool_mode": None, "mm_newline_position": None,
}  # fmt: skip
DAMAGES = {
    "another_model": r"no LLaVA-NeXT model with Qwen2(.|\n)*llava_onevision_hf",
    "tower_is_a_path": r"mm_vision_tower: must be the name of a SigLIP(.|\n)*google/siglip-so400m-patch14-384",
    "tower_is_no_siglip": "mm_vision_tower: must be the name of a SigLIP",
    "without_tower": "does not hold its vision tower",
    "incomplete": r"model\.layers\.1\.mlp\.up_proj\.weight: lacks weights",
}


def cases():
    """All questions, so that the library is imported once."""

    def case(name, kind, frames, keep=False, asked=(), **fields):
        answerer = {"kind": kind, "model": "checkpoint", **fields}
        return {"name": name, "answerer": answerer, "frames": list(frames), "keep": keep, "asked": dict(asked)}

    made = []
    for kind in KINDS:
        for name, frames in SHOWN.items():
            made.append(case(f"{kind} {name}", kind, frames, keep=name != "one"))
        made.append(case(f"{kind} again", kind, SHOWN["sorted"], keep=True))
        made.append(case(f"{kind} other", kind, [*SHOWN["sorted"][:-1], 298], keep=True))
        made.append(case(f"{kind} too many", kind, range(7), keep=True))
        made.append(case(f"{kind} placed", kind, [7], keep=True, asked={"text": "What is <image>?"}))
        made.append(case(f"{kind} none", kind, [], keep=True))
        made.append(case(f"{kind} grey", kind, [7], keep=True) | {"grey": True})
        made.append(case(f"{kind} vicuna", kind, [7], conv_template="vicuna_v1"))
    made.append(case("aks", "llava_vid", SHOWN["sorted"], **AKS))
    made += [case(damage, "llava_vid", [7], model=damage) for damage in DAMAGES]
    return made


def run(folder, *command):
    """Run a program with no network and no GPU."""
    settings = {
        "PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(SUPPORT)]),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hf"),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [str(part) for part in command], env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def side(folder, python, *options):
    """What the answerers said in a process of `python`."""
    (folder / "cases.json").write_text(json.dumps(cases()))
    run(folder, python, "-W", "ignore", SUPPORT / "llava_side.py", folder, *options)
    return json.loads((folder / "told.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the real package makes its checkpoint."""
    return tmp_path_factory.mktemp("llava")


@pytest.fixture(scope="module", params=["stand-in", pytest.param("llava", marks=needs_llava)])
def told(request, folder, tmp_path_factory):
    if request.param == "llava":
        return side(folder, LLAVA / "bin" / "python")
    return side(tmp_path_factory.mktemp("stand-in"), sys.executable, "--stand-in")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SHOWN)
def test_the_network_gets_the_frames_as_one_video(told, kind, name):
    case = told[f"{kind} {name}"]
    assert case["seen"] == [SHOWN[name]]
    assert case["shapes"][0][:2] == [len(SHOWN[name]), 3]
    assert case["modalities"] in ("video", ["video"])
    assert case["prompt"].count("<image>") == 1
    frames, times, _ = case["given"]
    assert frames == SHOWN[name]
    assert times == [index / 10 for index in SHOWN[name]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_is_of_the_pictures(told, kind):
    assert told[f"{kind} again"] == told[f"{kind} sorted"]
    assert told[f"{kind} other"]["given"][2] != told[f"{kind} sorted"]["given"][2]


def test_the_prompt_tells_the_true_times(told):
    prompt = told["llava_vid sorted"]["prompt"]
    assert "The video lasts for 30.00 seconds, and 5 frames" in prompt
    assert "located at 0.30s,5.00s,5.10s,5.20s,29.90s." in prompt
    assert "located at 25.00s,0.30s,12.00s." in told["llava_vid unsorted"]["prompt"]
    assert "seconds" not in told["llava_onevision sorted"]["prompt"]


def test_the_published_settings_are_the_default(told):
    video, image = told["llava_vid sorted"], told["llava_onevision sorted"]
    assert (video["dtype"], image["dtype"]) == ("bfloat16", "float16")
    assert video["video_tokens"] == 5 * 13 * (13 + 1)  # average pooling, a newline a row
    assert image["video_tokens"] == 5 * 14 * 14 + 1  # bilinear, one newline in all
    for case in (video, image):
        assert case["prompt"].startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>")


def test_the_settings_of_aks(told):
    case = told["aks"]
    assert case["dtype"] == "float16"
    assert case["video_tokens"] == 5 * 14 * 14 + 1  # as the checkpoint has it
    assert case["prompt"].startswith("<|im_start|>system\nAnswer the questions.<|im_end|>")
    assert "seconds" not in case["prompt"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_whose_stop_word_is_many_tokens_can_be_used(told, kind):
    assert "USER: <image>\n" in told[f"{kind} vicuna"]["prompt"]
    assert told[f"{kind} vicuna"]["text"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_is_never_cut_off(told, kind):
    case = told[f"{kind} too many"]
    assert case["error"].startswith("InputError: frames and question are longer")
    assert f"at most {tiny_llava_video.LONGEST}" in case["error"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_cannot_move_the_video(told, kind):
    case = told[f"{kind} placed"]
    assert case["error"].startswith("InputError: a question may not contain '<image>'")
    assert case["calls"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_wrong_with_the_frames_is_raised(told, kind):
    assert "need at least one array to stack" in told[f"{kind} none"]["error"]
    assert "dimensions" in told[f"{kind} grey"]["error"]  # of the array, in either image processor


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_checkpoint_that_cannot_be_used(told, kind):
    assert told[kind]["error"].startswith("InputError")
    assert re.search(DAMAGES[kind], told[kind]["error"]), told[kind]["error"]
    assert told[kind]["calls"] == 0


@pytest.mark.parametrize("told", [pytest.param("llava", marks=needs_llava)], indirect=True)
def test_the_network_is_the_one_that_llava_loads_by_itself(told):
    assert told["loading"] == {"weights": True, "features": True, "fetched": False}


@pytest.mark.parametrize("told", [pytest.param("llava", marks=needs_llava)], indirect=True)
def test_a_selection_is_evaluated_in_the_environment_of_llava(told, folder, tmp_path):
    barcode.write_video(tmp_path / "v.mp4", 60, 10)
    video = describe_video(("v", tmp_path / "v.mp4"), CandidateGrid())
    write_videos(tmp_path / "videos.parquet", [video], {})
    record = {
        "video_id": "1", "duration": "short", "domain": "Ours", "sub_category": "Codes", "url": "", "videoID": "v",
        "question_id": "q", "task_type": "Counting", "question": "Which?", "options": ["A. 1", "B. 2"], "answer": "A",
    }  # fmt: skip
    write_json(tmp_path / "original.json", [record])
    write_json(tmp_path / "labels.json", convert(VideoMME(), tmp_path / "original.json"))
    shown = Selected(video_id="v", frames=[10, 30], times=[1.0, 3.0], candidates=6)
    write_selection(tmp_path / "selection.json", {"q": shown}, {})
    answerer = {"kind": "llava_vid", "model": str(folder / "checkpoint")}
    spec = {"answerer": answerer, "dataset": {"kind": "videomme"}, "protocol": "fair"}
    run(
        folder, LLAVA / "bin" / "python", SCRIPTS / "evaluate_selection.py", "--spec", json.dumps(spec),
        "--labels", tmp_path / "labels.json", "--videos", tmp_path / "videos.parquet",
        "--selection", tmp_path / "selection.json", "--cache", tmp_path / "cache",
        "--out", tmp_path / "answers.json", "--device", "cpu", "--threads", "1",
    )  # fmt: skip
    answer = read_answers(tmp_path / "answers.json")["q"]
    assert answer.error is None
    assert answer.frames_given == [10, 30]
    assert answer.times_given == [1.0, 3.0]
    assert answer.response


@pytest.mark.parametrize("kind", KINDS)
def test_without_llava_the_error_names_its_environment(kind, tmp_path):
    expected = r"llava of LLaVA-NeXT cannot be imported here(.|\n)*envs/llava\.yaml(.|\n)*make llava"
    with pytest.raises(InputError, match=expected):
        build("answerers", {"kind": kind, "model": str(tmp_path)}).load("cpu")


@pytest.mark.parametrize(("kind", "dtype"), [("llava_vid", "float32"), ("llava_onevision", "bfloat16")])
def test_a_precision_that_the_library_does_not_know_is_refused(kind, dtype):
    with pytest.raises(InputError, match="dtype"):
        build("answerers", {"kind": kind, "model": "./model", "dtype": dtype})


def versions(name):
    """Versions of a lock for Python 3.11 on Linux."""
    lines = (ROOT / "envs" / name).read_text().splitlines()
    return dict(line.split(" ; ")[0].split("==") for line in lines if ">= '3.12'" not in line)


def test_the_llava_environment_has_the_torch_and_the_lmms_eval_of_the_others():
    llava, demo = versions("llava.lock"), versions("demo.lock")
    shared = ("torch", "torchvision", "lmms-eval", "numpy", "av", "decord", "pydantic", "safetensors", "pillow")
    assert {name: llava[name] for name in shared} == {name: demo[name] for name in shared}


def test_the_conda_environment_has_a_pinned_llava():
    lines = [line.strip(" -") for line in (ROOT / "envs" / "llava.yaml").read_text().splitlines()]
    [source] = [line for line in lines if line.startswith("llava @ git+https://github.com/LLaVA-VL/LLaVA-NeXT@")]
    assert len(source.rsplit("@", 1)[1]) == 40
