"""The check of a GPU, without one: the demo's checkpoints, and memory that only seems too small."""

import json
import subprocess
import sys
from argparse import Namespace

import numpy as np
import pytest

import gpu_check
from framesift.core.code_digest import SCRIPTS
from framesift.scoring.score_videos import LoadedEncoder
from gpu_check import CheckWorld, Finding

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    options = Namespace(folder=tmp_path_factory.mktemp("check"), networks="demo", workers="1", copies=1, device="cpu")
    return gpu_check.made_world(options)


@pytest.fixture
def program(world, tmp_path, monkeypatch, capsys):
    """Run gpu_check.py in this process: its exit status, what it wrote and what it printed."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def run(*options):
        command = ["gpu_check.py", "--folder", str(world.folder), "--json", str(tmp_path / "gpu_check.json"), *options]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            gpu_check.main()
        file = tmp_path / "gpu_check.json"
        return int(end.value.code), json.loads(file.read_text()) if file.is_file() else None, capsys.readouterr()

    return run


def test_the_checks_agree_on_a_machine_without_a_gpu(program):
    """All but the speed, which takes minutes."""
    status, record, printed = program(
        "--device", "cpu", "--checks", "precision,feeding,memory,lease,answers", "--workers", "1,2", "--copies", "1"
    )
    assert status == 0
    assert record["device"] == "cpu"
    assert record["agrees"]
    findings = {finding["what"]: finding for finding in record["findings"]}
    assert len(findings) == len(record["findings"]) == 10
    assert all(finding["agrees"] for finding in findings.values())
    assert all(what in printed.out for what in findings)
    assert printed.out.endswith("All agrees.\n")

    rounded = findings["demo clip: bfloat16 on cpu to float32 on cpu"]["figures"]
    assert 0.9 < rounded["tau"] < 1  # it did work with fewer bits
    assert (
        rounded["largest difference"]
        > findings["demo clip: float16 on cpu to float32 on cpu"]["figures"]["largest difference"]
    )
    assert findings["demo clip, 32 frames at once"]["figures"]["frames a batch"] <= 3
    assert findings["demo vlm, memory too small 1 times a question"]["figures"]["calls"] == 24


def test_without_a_gpu_it_says_so_and_does_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, gpu_check.__file__, "--folder", str(tmp_path / "out")], capture_output=True, text=True,
        env={"PATH": str(tmp_path), "PYTHONPATH": str(SCRIPTS), "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert "torch finds no GPU that it can use" in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_disagrees_makes_the_exit_status_1(program, monkeypatch):
    monkeypatch.setitem(gpu_check.CHECKS, "lease", lambda world: [Finding("lease", "it", {"n": 3}, "2", False)])
    status, record, printed = program("--device", "cpu", "--checks", "lease")
    assert status == 1
    assert not record["agrees"]
    assert "DISAGREES  it   (2)" in printed.out


def test_an_unknown_check_is_refused(program):
    status, record, printed = program("--device", "cpu", "--checks", "lease,speeed")
    assert (status, record) == (2, None)
    assert "there is no check speeed" in printed.err


def scores(*, noise):
    rng = np.random.default_rng(0)
    reference = [rng.random(50) for _ in range(4)]
    return reference, [row + noise * rng.standard_normal(50) for row in reference]


def test_agreement_of_scores_that_differ():
    reference, other = scores(noise=0.0)
    assert gpu_check.agreement(reference, other) == {
        "tau": 1.0, "least tau": 1.0, "top 8": 1.0, "largest difference": 0.0, "share of range": 0.0
    }  # fmt: skip
    rather, hardly = (gpu_check.agreement(*scores(noise=noise)) for noise in (0.02, 10.0))
    assert 0.9 < rather["tau"] < 1
    assert rather["least tau"] < rather["tau"]
    assert abs(hardly["tau"]) < 0.3
    assert hardly["top 8"] < 0.5 < rather["top 8"]
    reference[0][7] += 2
    assert gpu_check.agreement(reference, scores(noise=0.0)[1])["largest difference"] == pytest.approx(2)


def test_a_network_whose_scores_change_with_its_precision_disagrees(world, monkeypatch):
    see = LoadedEncoder._see

    def noisy(self, images, texts):
        seen = see(self, images, texts)
        return seen if self.encoder.dtype != "bfloat16" else np.ascontiguousarray(seen[:, ::-1])

    monkeypatch.setattr(LoadedEncoder, "_see", noisy)
    only = CheckWorld(**vars(world) | {"networks": {"demo clip": world.networks["demo clip"]}})
    assert [finding.agrees for finding in gpu_check.precision(only)] == [True, False]


def test_scores_that_depend_on_the_number_of_decoders_disagree(world, monkeypatch):
    see, rng = LoadedEncoder._see, np.random.default_rng(0)
    monkeypatch.setattr(LoadedEncoder, "_see", lambda self, *given: see(self, *given) + rng.random(dtype=np.float32))
    twice = CheckWorld(**vars(world) | {"workers": [1, 1]})
    assert [finding.agrees for finding in gpu_check.feeding(twice)] == [True, False]


def test_a_batch_that_was_not_halved_disagrees(world, monkeypatch):
    monkeypatch.setattr(gpu_check.Cramped, "_see", LoadedEncoder._see)
    assert gpu_check.too_large_a_batch(world).agrees is False


def test_answers_that_differ_disagree():
    one = {"1": "A", "2": "B"}
    assert gpu_check.compared("answers", "", one, dict(one), {}).agrees
    other = gpu_check.compared("answers", "", one, {"1": "A", "2": "C"}, {})
    assert not other.agrees
    assert other.figures == {"questions": 2, "the same answer": 1}


def test_a_gpu_that_is_lent_twice_disagrees(world, monkeypatch):
    alone = "gpu = 'GPU-0'; print('GPU', file=sys.stderr)"
    monkeypatch.setattr(gpu_check, "HOLD", gpu_check.HOLD.replace("gpu = gpus.lease()", alone))
    [finding] = gpu_check.lease(world)
    assert finding.agrees is False
    assert finding.figures["waited"] == 0


def test_a_benchmark_that_fails_disagrees(world, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
    options = Namespace(**vars(world.options) | {"pairs": 1, "seconds": 1})
    [finding] = gpu_check.speed(CheckWorld(**vars(world) | {"device": "cuda", "folder": tmp_path, "options": options}))
    assert finding.agrees is False
    assert "torch finds no GPU that it can use" in finding.figures["failed"]
