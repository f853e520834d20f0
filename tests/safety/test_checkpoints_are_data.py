"""Checkpoints whose files would run code: pickles, and Python files that a library is told to trust. None runs."""

import json
import os
import pickle
import shutil
import subprocess

import pytest
import torch

import tiny_labellers
import tiny_mllm
import tiny_scorers
from framesift.checkpoints.component import Checkpoint
from framesift.checkpoints.no_remote_code import no_code
from framesift.core.components import build, implementation, kinds
from framesift.core.errors import InputError
from framesift.scoring.scorers._localizer import load_localizer
from framesift.scoring.scorers.blip_itm_lavis import _read
from framesift.scoring.scorers.mllm_selector import _vision_encoder
from framesift.storage.checksums import sidecar_of
from project import ROOT
from tiny_checkpoints import WRITERS

#: Members that load a folder of transformers here, and not in an environment of their own.
OF_TRANSFORMERS = [
    (family, kind)
    for family in ("answerers", "scorers", "encoders")
    for kind in kinds(family)
    if implementation(family, kind).checkpoint == "transformers"
    and implementation(family, kind).env in ("evaluate", "features")
]
#: What transformers may look for in the files of a checkpoint.
CLASSES = (
    *("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText", "AutoModelForSeq2SeqLM"),
    *("AutoProcessor", "AutoImageProcessor", "AutoVideoProcessor", "AutoFeatureExtractor"),
)


class Payload:
    """What runs a command when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def plant(folder, marker):
    """Python files that leave a marker when they are imported, and every place that could name them."""
    code = f"import pathlib\npathlib.Path({str(marker)!r}).mkdir(exist_ok=True)\n"
    code += "".join(f"class {name}Evil: pass\n" for name in (*CLASSES, "AutoTokenizer"))
    (folder / "evil.py").write_text(code)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code + "def generate(**_): pass\n")
    auto = {name: f"evil.{name}Evil" for name in CLASSES}
    auto["AutoTokenizer"] = ["evil.AutoTokenizerEvil", "evil.AutoTokenizerEvil"]
    named = 0
    for file in folder.glob("*.json"):
        content = json.loads(file.read_text())
        if isinstance(content, dict) and ("config" in file.name or "processor" in file.name):
            file.write_text(json.dumps(content | {"auto_map": auto}))
            named += 1
    assert named >= 2


def of_family(kind):
    return next(family for family in ("answerers", "scorers", "encoders") if kind in kinds(family))


def loaded(kind, folder):
    return build(of_family(kind), {"kind": kind, "model": str(folder)}).load("cpu")


def test_a_component_with_a_checkpoint_says_so():
    for family in ("answerers", "scorers", "encoders"):
        for kind in kinds(family):
            cls = implementation(family, kind)
            assert (cls.checkpoint in ("transformers", "torch")) == issubclass(cls, Checkpoint) or (
                cls.checkpoint == "composed"
            ), kind


@pytest.mark.parametrize(("family", "kind"), OF_TRANSFORMERS)
def test_python_files_of_a_checkpoint_never_run(family, kind, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # transformers asks a person at a terminal
    if kind not in WRITERS:
        pytest.skip(f"tests/support/tiny_checkpoints.py writes no checkpoint of {kind}")
    folder, marker = tmp_path / "model", tmp_path / "pwned"
    folder.mkdir()
    WRITERS[kind](folder)
    plant(folder, marker)
    refused = ""
    try:
        build(family, {"kind": kind, "model": str(folder)}).load("cpu")
    except InputError as error:
        refused = str(error)
    assert not marker.exists()
    assert not refused or "code of its own" in refused


@pytest.mark.parametrize("trained", ["none", "lora"])
def test_python_files_beside_a_selector_and_its_models_never_run(trained, tmp_path, monkeypatch):
    from framesift.scoring.mllm_selector.checkpoint import new_selector, save_pretrained
    from framesift.scoring.mllm_selector.settings import SecondStage
    from framesift.training.train_selector import prepare

    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder, marker = tmp_path / "selector", tmp_path / "pwned"
    tiny_mllm.write_checkpoints(tmp_path)
    for part in ("siglip", "llm"):
        plant(tmp_path / part, marker)
    settings = tiny_mllm.settings(tmp_path, text="question_and_options")
    selector = new_selector(settings, seed=0, dtype=torch.float32, replies=False)
    prepare(selector, SecondStage(train_llm=trained))
    save_pretrained(selector, folder, trained=trained, dtype=torch.float32)
    scorer = loaded("mllm_selector", folder)
    assert scorer.vision
    assert scorer.selector
    if trained == "lora":  # pickled adapters in place of the others
        (folder / "adapter_model.safetensors").unlink()
        torch.save({"x": Payload(marker)}, folder / "adapter_model.bin")
        with pytest.raises(InputError):
            assert loaded("mllm_selector", folder).selector
    plant(folder, marker)
    sidecar_of(folder / "config.json").unlink()
    _vision_encoder.cache_clear()
    with pytest.raises(InputError, match="is not the configuration of an M-LLM selector"):
        assert loaded("mllm_selector", folder).selector
    assert not marker.exists()


@pytest.mark.parametrize("sees", [True, False])
def test_python_files_of_a_model_that_labels_never_run(sees, tmp_path, monkeypatch):
    from framesift.scoring.mllm_selector.label_settings import LocalModel
    from framesift.training.labels.local_labeller import LocalLabeller

    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder, marker = tmp_path / "model", tmp_path / "pwned"
    folder.mkdir()
    (tiny_labellers.write_vlm if sees else tiny_labellers.write_llm)(folder)
    plant(folder, marker)
    local = LocalLabeller(LocalModel(model=str(folder), dtype="float32"), "cpu", sees_frames=sees)
    refused = ""
    try:
        assert local.processor
        assert local.network
    except InputError as error:
        refused = str(error)
    assert not marker.exists()
    assert not refused or "code of its own" in refused


def test_the_planted_code_would_run_if_it_were_trusted(tmp_path, monkeypatch):
    from transformers import AutoConfig

    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    folder, marker = tmp_path / "model", tmp_path / "pwned"
    folder.mkdir()
    tiny_scorers.write_clip(folder)
    plant(folder, marker)
    with no_code(), pytest.raises(ValueError, match="code of its own"):
        AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert not marker.exists()
    with pytest.raises(AttributeError):  # a class without `from_pretrained`
        AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert marker.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.safetensors"])
@pytest.mark.parametrize("kind", ["clip", "blip_itm", "dino", "llava_onevision_hf", "qwen2_5_vl", "qwen3_vl", "pllava"])
def test_weights_that_are_a_pickle_with_a_command_are_refused(kind, name, checkpoints, tmp_path):
    folder, marker = tmp_path / "model", tmp_path / "pwned"
    shutil.copytree(checkpoints(kind), folder)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    torch.save({"weight": Payload(marker)}, folder / name)
    with pytest.raises(InputError):
        loaded(kind, folder)
    assert not marker.exists()
    with open(folder / name, "wb") as file:  # as before torch had an archive format
        pickle.dump({"weight": Payload(marker)}, file)
    with pytest.raises(InputError):
        loaded(kind, folder)
    assert not marker.exists()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            WRITERS[kind](made[kind])
        return made[kind]

    return of


def test_weights_of_pytorch_without_commands_are_read(checkpoints, tmp_path):
    from safetensors.torch import load_file

    folder = tmp_path / "model"
    shutil.copytree(checkpoints("clip"), folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    model, _ = loaded("clip", folder)
    assert torch.equal(model.logit_scale, weights["logit_scale"])


def test_the_localizer_of_sevila_and_a_file_of_lavis_are_data_too(tmp_path):
    marker = tmp_path / "pwned"
    torch.save({"model": {"ln_vision_loc.weight": Payload(marker)}}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="is no checkpoint of torch"):
        load_localizer(torch.nn.Linear(1, 1), str(tmp_path / "weights.pth"))
    with pytest.raises(InputError, match="cannot be read"):
        _read(tmp_path / "weights.pth")
    assert not marker.exists()


@pytest.mark.parametrize("asked", [None, False, True])
def test_no_torch_load_in_a_library_runs_a_pickle(asked, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    marker = tmp_path / "pwned"
    torch.save(Payload(marker), tmp_path / "x.bin")
    with no_code(), pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "x.bin", weights_only=asked)
    assert not marker.exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"


def test_adapters_beside_a_checkpoint_are_data_too(checkpoints, tmp_path):
    pytest.importorskip("peft")
    folder, marker = tmp_path / "model", tmp_path / "pwned"
    shutil.copytree(checkpoints("qwen2_5_vl"), folder)
    adapter = {"peft_type": "LORA", "r": 1, "target_modules": ["q_proj"], "base_model_name_or_path": "x/y"}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    torch.save({"x": Payload(marker)}, folder / "adapter_model.bin")
    with pytest.raises(InputError):
        loaded("qwen2_5_vl", folder)
    assert not marker.exists()


def test_only_tensors_are_read_by_numpy_and_nothing_by_pickle():
    forbidden = (
        "pickle.load",
        "allow_pickle=True",
        "joblib",
        "read_pickle",
        "weights_only=False",
        "trust_remote_code=True",
    )
    sources = sorted((ROOT / "workflow" / "scripts").rglob("*.py"))
    found = [f"{file.name}: {word}" for file in sources for word in forbidden if word in file.read_text()]
    assert found == []
    loads = [file for file in sources if "torch.load(" in file.read_text()]
    assert loads
    for file in loads:
        assert file.read_text().count("torch.load(") == file.read_text().count("weights_only=True)"), file.name


OLDER = """
import pathlib, sys
from framesift.checkpoints.no_remote_code import no_code
from transformers import AutoConfig, AutoTokenizer
with no_code():
    for cls in (AutoConfig, AutoTokenizer):
        try:
            cls.from_pretrained(sys.argv[1], trust_remote_code=True)
        except ValueError as error:
            print(error)
"""


@pytest.mark.parametrize("name", ["llava", "lavis"])
def test_the_older_transformers_of_other_environments_run_no_files_either(name, checkpoints, tmp_path):
    environment = ROOT / f".venv-{name}"
    if not (environment / f"{name}.done").exists():
        pytest.skip(f"needs make {name}")
    folder, marker = tmp_path / "model", tmp_path / "pwned"
    shutil.copytree(checkpoints("clip"), folder)
    plant(folder, marker)
    settings = {
        "PYTHONPATH": str(ROOT / "workflow" / "scripts"),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }
    done = subprocess.run(
        [environment / "bin" / "python", "-c", OLDER, folder],
        env=settings | {"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("code of its own") == 2, done.stdout + done.stderr
    assert not marker.exists()
