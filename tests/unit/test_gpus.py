"""GPUs are lent out to jobs; here `nvidia-smi` is a script, and nothing needs a GPU."""

import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from framesift.checkpoints import component as models
from framesift.checkpoints import gpu_lease as gpus
from framesift.core.code_digest import SCRIPTS
from framesift.core.errors import InputError

ROOT = SCRIPTS.parents[1]
TWO = ["GPU 0: Fake (UUID: GPU-aaaa-1)", "GPU 1: Fake (UUID: GPU-bbbb-2)"]
DIVIDED = [
    "GPU 0: Fake (UUID: GPU-aaaa-1)",
    "  MIG 1g.5gb      Device  0: (UUID: MIG-cccc-3)",
    "  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-aaaa-1/7/0)",
    "GPU 1: Fake (UUID: GPU-bbbb-2)",
]
#: Takes a GPU, holds it for a while, and until so many others have held one; writes down which one it was and when.
HOLD = """
import logging, os, sys, time
from pathlib import Path
from framesift.checkpoints import gpu_lease as gpus
logging.basicConfig(level=logging.INFO, format="%(message)s")
gpus.EVERY = 0.05
gpus.lease()
start = time.monotonic()
out = Path(sys.argv[1])
out.with_suffix(".held").touch()
if "fork" in sys.argv and os.fork() == 0:
    time.sleep(60)
time.sleep(float(sys.argv[2]))
while "fork" not in sys.argv and len(list(out.absolute().parent.glob("*.held"))) < int(sys.argv[3]):
    time.sleep(0.02)
out.write_text(f"{os.environ['CUDA_VISIBLE_DEVICES']} {start} {time.monotonic()}")
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose nvidia-smi prints given lines."""
    monkeypatch.setattr(gpus, "_held", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("FRAMESIFT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def made(lines: list[str], visible: str | None = None) -> None:
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
        program.chmod(0o755)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    yield made
    gpus.give_back()


def holder(out: Path, seconds: float, more: str = "1") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(out), str(seconds), more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.02)


def periods(files: list[Path]) -> dict[str, list[tuple[float, float]]]:
    """When each GPU was held, in order."""
    found: dict[str, list[tuple[float, float]]] = {}
    for file in files:
        gpu, start, end = file.read_text().split()
        found.setdefault(gpu, []).append((float(start), float(end)))
    return {gpu: sorted(held) for gpu, held in found.items()}


def overlap(held: list[tuple[float, float]]) -> bool:
    return any(end > start for (_, end), (start, _) in pairwise(held))


@pytest.mark.parametrize(
    ("lines", "visible", "expected"),
    [
        (TWO, None, ["GPU-aaaa-1", "GPU-bbbb-2"]),
        (TWO, "1,0", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        (TWO, "GPU-bb, 0,1", ["GPU-bbbb-2", "GPU-aaaa-1"]),
        (TWO, "1,7", ["GPU-bbbb-2"]),
        (TWO, "", []),
        (TWO, "-1", []),
        (DIVIDED, None, ["MIG-cccc-3", "MIG-GPU-aaaa-1/7/0", "GPU-bbbb-2"]),
        (DIVIDED, "MIG-GPU-aaaa-1/7/0,1", ["MIG-GPU-aaaa-1/7/0", "GPU-bbbb-2"]),
        (["No devices were found"], None, []),
    ],
)
def test_the_gpus_to_choose_from(machine, lines, visible, expected):
    machine(lines, visible)
    assert gpus.visible_gpus() == expected


def test_a_machine_without_nvidia_smi_has_nothing_to_choose(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible_gpus() == []
    assert gpus.lease() is None
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize("visible", ["1", "GPU-bbbb-2", "MIG-cccc-3", "", "-1"])
def test_what_a_scheduler_has_decided_is_left_alone(machine, visible, tmp_path):
    machine(TWO, visible)
    assert gpus.lease() is None
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
    assert not (tmp_path / "locks").exists()


def test_of_several_that_a_scheduler_gave_one_is_taken(machine):
    machine(TWO, "1,0")
    assert gpus.lease() == gpus.lease() == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb-2"
    gpus.give_back()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,0"


def test_a_part_of_a_gpu_keeps_its_name(machine, tmp_path):
    machine(DIVIDED)
    first = holder(tmp_path / "first", 60)
    wait_for(tmp_path / "first.held")
    try:
        assert gpus.lease() == os.environ["CUDA_VISIBLE_DEVICES"] == "MIG-GPU-aaaa-1/7/0"
    finally:
        first.kill()
        first.wait()


def test_many_processes_at_once_never_share_a_gpu(machine, tmp_path):
    machine([f"GPU {n}: Fake (UUID: GPU-{n})" for n in range(3)])
    files = [tmp_path / f"job{n}" for n in range(16)]
    jobs = [holder(file, 0.05 + 0.02 * (n % 5), "3") for n, file in enumerate(files)]
    logs = [job.communicate()[1] for job in jobs]
    assert all(job.returncode == 0 for job in jobs), logs
    held = periods(files)
    assert held.keys() == {"GPU-0", "GPU-1", "GPU-2"}
    assert sum(map(len, held.values())) == len(files)
    assert not any(map(overlap, held.values()))


@pytest.mark.parametrize("more", ["1", "fork"])
def test_a_killed_job_frees_its_gpu(machine, tmp_path, more):
    """At once, with a message that says who held it; a child that it forked keeps nothing."""
    machine(TWO[:1])
    first = holder(tmp_path / "first", 60, more)
    wait_for(tmp_path / "first.held")
    child = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    if more == "fork":
        while not child.read_text():
            time.sleep(0.02)
        child = int(child.read_text())
    second = holder(tmp_path / "second", 0)
    assert second.stderr is not None
    waiting = second.stderr.readline()
    assert re.fullmatch(
        rf"waiting for a GPU: the only one is taken \(GPU-aaaa-1: process {first.pid}, -c, since [-0-9]+ [:0-9]+\)\n",
        waiting,
    )
    assert not (tmp_path / "second").exists()
    first.kill()
    first.wait()
    assert second.communicate()[1] == "GPU GPU-aaaa-1\n"  # it said that it waits once
    assert (tmp_path / "second").read_text().startswith("GPU-aaaa-1 ")
    if more == "fork":
        os.kill(child, signal.SIGKILL)


# Several GPUs for one job

THREE = [*TWO, "GPU 2: Fake (UUID: GPU-cccc-3)"]


def test_several_gpus_are_those_that_are_free(machine, tmp_path):
    machine(THREE)
    first = holder(tmp_path / "first", 60)
    wait_for(tmp_path / "first.held")
    try:
        assert gpus.lease(2) == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-bbbb-2,GPU-cccc-3"
        gpus.give_back()
        assert gpus.lease(2) == "GPU-bbbb-2,GPU-cccc-3"
    finally:
        first.kill()
        first.wait()


def test_all_that_a_scheduler_gave_are_taken(machine):
    machine(THREE, "2,0")
    assert gpus.lease(2) == "GPU-cccc-3,GPU-aaaa-1"


@pytest.mark.parametrize("visible", [None, "1", "0,7"])
def test_more_gpus_than_there_are_are_refused(machine, visible):
    machine(TWO if visible else TWO[:1], visible)
    with pytest.raises(InputError, match=r"there are too few GPUs(.|\n)*expected: 2 GPUs"):
        gpus.lease(2)


def test_who_waits_for_several_holds_none(machine, tmp_path):
    machine(TWO)
    first = holder(tmp_path / "first", 60)
    wait_for(tmp_path / "first.held")
    both = on_gpus(2, "print(os.environ['CUDA_VISIBLE_DEVICES'])")
    assert both.stderr is not None
    waiting = both.stderr.readline()
    assert waiting.startswith(f"waiting for 2 GPUs: too many are taken (GPU-aaaa-1: process {first.pid}, -c, since ")
    assert "GPU-bbbb-2" not in waiting
    assert gpus.lease() == "GPU-bbbb-2"
    gpus.give_back()
    first.kill()
    first.wait()
    assert both.communicate() == ("GPU-aaaa-1,GPU-bbbb-2\n", "GPU GPU-aaaa-1,GPU-bbbb-2\n")


def on_gpus(count: int, code: str) -> subprocess.Popen[str]:
    """A command on so many GPUs, by the program for that; its log has no times."""
    start = "import logging, on_gpus; logging.basicConfig(format='%(message)s'); on_gpus.run(on_gpus.main)"
    command = [sys.executable, "-c", start, str(count)]
    command += [sys.executable, "-c", f"import os, sys, time; {code}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_command_has_its_gpus_until_it_ends(machine):
    """The command took the place of the program that took them; it may be killed."""
    machine(TWO)
    both = on_gpus(2, "print(os.getpid(), flush=True); time.sleep(60)")
    assert both.stdout is not None
    assert int(both.stdout.readline()) == both.pid
    assert gpus._lock(["GPU-aaaa-1", "GPU-bbbb-2"], gpus._folder(), 1) == {}
    both.kill()
    both.wait()
    assert gpus.lease(2) == "GPU-aaaa-1,GPU-bbbb-2"


def test_without_gpus_to_choose_from_a_command_just_runs(machine, monkeypatch):
    machine([])
    found = on_gpus(2, "print(os.environ.get('CUDA_VISIBLE_DEVICES'))")
    assert found.communicate() == ("None\n", "")
    gone = subprocess.run(
        [sys.executable, str(SCRIPTS / "on_gpus.py"), "1", "no-such-program"], capture_output=True, text=True
    )
    assert gone.returncode == 1
    assert "error: there is no such program" in gone.stderr


def test_a_folder_for_locks_that_belongs_to_somebody_else_is_refused(machine, monkeypatch):
    machine(TWO)
    Path(os.environ["FRAMESIFT_GPU_LOCKS"]).mkdir()
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(InputError, match="somebody else's"):
        gpus.lease()


# The device of a program


@pytest.fixture
def cuda(monkeypatch):
    """Whether torch can use CUDA, and how often it was asked."""
    import torch

    asked = []

    def made(built: str | None, available: bool, count: int = 1) -> list[str | None]:
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(
            torch.cuda, "is_available", lambda: (asked.append(os.environ.get("CUDA_VISIBLE_DEVICES")), available)[1]
        )
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        return asked

    return made


def test_a_gpu_is_taken_before_torch_looks_for_any(machine, cuda):
    machine(TWO)
    asked = cuda("13.0", available=True)
    assert models.pick_device("auto") == models.pick_device("cuda") == "cuda"
    assert asked == ["GPU-aaaa-1", "GPU-aaaa-1"]


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_a_device_that_was_named_is_used_as_it_is(machine, cuda, device):
    machine(TWO)
    assert cuda("13.0", available=True) == []
    assert models.pick_device(device) == device
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_torch_without_cuda_waits_for_no_gpu(machine, cuda, tmp_path, caplog):
    machine(TWO)
    cuda(None, available=False)
    assert models.pick_device("auto") == "cpu"
    assert not (tmp_path / "locks").exists()
    assert not caplog.records


def test_a_gpu_that_torch_cannot_use_is_given_back(machine, cuda, caplog):
    machine(TWO)
    cuda("13.0", available=False)
    assert models.pick_device("auto") == "cpu"
    assert "nvidia-smi lists GPU GPU-aaaa-1, but torch cannot use it; working on the CPU" in caplog.text
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    with pytest.raises(InputError, match="torch finds no GPU that it can use"):
        models.pick_device("cuda")


def test_gpus_that_cannot_be_told_apart_are_no_secret(machine, cuda, caplog):
    machine([])
    cuda("13.0", available=True, count=2)
    assert models.pick_device("auto") == "cuda"
    assert "this process takes the first, as others will" in caplog.text


# profiles/local-gpu

SNAKEFILE = """
rule all:
    input: expand("job{n}", n=range(6))
rule score_frames:
    output: "job{n}"
    resources: gpu=1
    shell: "python hold.py {output} 0.3 $TOGETHER; echo {threads} > threads{wildcards.n}"
"""


def test_the_profile_of_one_machine_gives_each_job_a_gpu(machine, tmp_path):
    machine(TWO)
    folder = tmp_path / "project"
    for part in ("workflow/scripts", "profiles"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).symlink_to(ROOT / part)
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "hold.py").write_text(HOLD)

    def run(together: int, *options: str) -> dict[str, list[tuple[float, float]]]:
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/local-gpu", "--forceall", *options]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"PATH": path, "TOGETHER": str(together)}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "waiting for a GPU" not in done.stderr
        return periods([folder / f"job{n}" for n in range(6)])

    held = run(2, "--cores", "6", "--set-threads", "score_frames=1")
    assert held.keys() == {"GPU-aaaa-1", "GPU-bbbb-2"}
    assert not any(map(overlap, held.values()))
    assert run(1, "--resources", "gpu=1").keys() == {"GPU-aaaa-1"}
    assert int((folder / "threads0").read_text()) == max(1, (os.cpu_count() or 1) // 2)
