"""What a run would cost is scaled from what earlier jobs wrote down, and from nothing else."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import yaml

from framesift.answering.answer_file import Answer, write_answers
from framesift.config import sources
from framesift.config.load import load_config
from framesift.config.plan import Plan
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from framesift.data.shards import assign_shards
from framesift.forecast.cached import cached_answers, cached_videos
from framesift.forecast.datasets import DatasetStates
from framesift.forecast.rates import Estimate, Rates
from framesift.provenance.snakemake_dag import PlannedJob
from framesift.scoring.score_table import QuestionScores, write_scores
from framesift.storage.files import write_json
from framesift.storage.tensors import write_tensors
from framesift.video.table import Video, write_videos

ROOT = Path(__file__).resolve().parents[2]
NOON = 1.7e9
FRAMES = 10


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The demo's plan in an empty folder: four videos of ten candidate frames, eight questions."""
    monkeypatch.chdir(tmp_path)
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    made = Plan(load_config(raw))
    videos = [
        Video(f"v{n}", f"v{n}.mp4", digest=f"{n}" * 64, duration=3600.0, frames=list(range(FRAMES))) for n in range(4)
    ]
    write_videos(made.videos("demo"), videos, {})
    records = [
        {"normalised": {"question_id": f"q{n}", "video_id": f"v{n % 4}", "question": "?", "answer": "A"}}
        for n in range(8)
    ]
    write_json(made.labels("demo"), records)
    return made


def benchmark(path, seconds, cpu, end=NOON):
    file = Path("benchmarks") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"s\th:m:s\tcpu_time\n{seconds}\t0:00:00\t{cpu}\n")
    os.utime(file, (end, end))


def seen(plan, name, video, at, folder=None):
    """A video that a scorer has seen, kept in the cache at some moment."""
    file = Path("results/cache/scores") / (folder or name) / f"{str(video) * 64}.safetensors"
    identity = {"scorer": plan.config.scorers[name].spec()}
    write_tensors(file, {"x": np.zeros(1)}, {"made_by": canonical_json(identity)})
    os.utime(file, (at, at))


def scored(plan, name, device, part="1-of-1"):
    path = f"results/scores/demo/{plan.scorer_id(plan.config.scorers[name])}/{part}.parquet"
    write_scores(path, [QuestionScores("q", "v", None, [0], [0.0])], {}, device)


def scoring(plan, name, gpu=True):
    scorer = plan.scorer_id(plan.config.scorers[name])
    wildcards = {"dataset": "demo", "scorer": scorer, "shard": "1", "n": "1"}
    return PlannedJob(
        "score_frames", (f"results/scores/demo/{scorer}/1-of-1.parquet",), (), wildcards=wildcards, gpu=gpu
    )


def cost_of_scoring(plan, name, frames=3600.0):
    return Rates(Path(), DatasetStates(plan)).cost(scoring(plan, name), plan, {"frames": frames})


def test_without_a_measurement_there_is_no_number(plan):
    cost = cost_of_scoring(plan, "demo_clip")
    assert (cost.gpu_hours, cost.cpu_hours, cost.gigabytes) == (None, None, None)


def test_scoring_is_scaled_by_frames(plan):
    benchmark(f"scores/demo/{plan.scorer_id(plan.config.scorers['demo_clip'])}/1-of-1.tsv", 20, 40)
    scored(plan, "demo_clip", "NVIDIA H100")
    for video in range(2):
        seen(plan, "demo_clip", video, NOON - 5)
    cost = cost_of_scoring(plan, "demo_clip")
    assert cost.gpu_hours == Estimate(pytest.approx(1.0), 1), "20 seconds for 20 frames: an hour for 3,600"
    assert cost.cpu_hours == Estimate(pytest.approx(2.0), 1)
    assert cost.gigabytes.measurements == 2, "two files of the cache"


def test_a_job_that_found_everything_in_the_cache_measures_nothing(plan):
    benchmark(f"scores/demo/{plan.scorer_id(plan.config.scorers['demo_clip'])}/1-of-1.tsv", 2, 2)
    scored(plan, "demo_clip", "NVIDIA H100")
    seen(plan, "demo_clip", 0, NOON - 500)
    cost = cost_of_scoring(plan, "demo_clip")
    assert cost.gpu_hours is None
    assert cost.cpu_hours is None
    assert cost.gigabytes is not None, "its size is known all the same"


def test_what_was_measured_on_a_cpu_is_no_time_on_a_gpu(plan):
    benchmark(f"scores/demo/{plan.scorer_id(plan.config.scorers['demo_clip'])}/1-of-1.tsv", 20, 40)
    scored(plan, "demo_clip", "cpu")
    seen(plan, "demo_clip", 0, NOON - 5)
    rates = Rates(Path(), DatasetStates(plan))
    cost = rates.cost(scoring(plan, "demo_clip"), plan, {"frames": 10.0})
    assert cost.gpu_hours is None
    assert cost.cpu_hours == Estimate(pytest.approx(40 / 3600), 1)
    assert rates.notes


def test_models_that_share_a_pass_share_its_time(plan):
    benchmark(f"scores/demo/{plan.scorer_id(plan.config.scorers['demo_clip'])}/1-of-1.tsv", 30, 30)
    scored(plan, "demo_clip", "NVIDIA H100")
    for video in range(2):
        seen(plan, "demo_clip", video, NOON - 5)
    seen(plan, "demo_blip", 0, NOON - 5)
    assert cost_of_scoring(plan, "demo_clip").gpu_hours == Estimate(pytest.approx(1.0), 1)
    assert cost_of_scoring(plan, "demo_blip").gpu_hours == Estimate(pytest.approx(1.0), 1)


def test_jobs_side_by_side_are_measured_together(plan):
    folder = f"scores/demo/{plan.scorer_id(plan.config.scorers['demo_clip'])}"
    benchmark(f"{folder}/1-of-2.tsv", 10, 10, NOON)
    benchmark(f"{folder}/2-of-2.tsv", 10, 10, NOON + 4)
    scored(plan, "demo_clip", "NVIDIA H100", "1-of-2")
    scored(plan, "demo_clip", "NVIDIA H100", "2-of-2")
    for video in range(2):
        seen(plan, "demo_clip", video, NOON - 2)
    assert cost_of_scoring(plan, "demo_clip").gpu_hours == Estimate(pytest.approx(1.0), 2), "20 seconds of two GPUs"


def test_a_damaged_benchmark_counts_as_none(plan):
    benchmark("videos/demo.tsv", "NA", "NA")
    job = PlannedJob("index_videos", ("results/videos/demo.parquet",), (), benchmark="benchmarks/videos/demo.tsv")
    assert Rates(Path(), DatasetStates(plan)).cost(job, plan, {"videos": 4.0}).cpu_hours is None


def answers(plan, seconds, selecting, device="cpu", count=4, keys="k"):
    """A finished file of answers of the demo's model, two frames each."""
    answerer = plan.config.answerers["demo_vlm"]
    path = f"results/answers/demo/{answerer.kind}-0123456789ab/{selecting}/1-of-1.json"
    given = {
        f"q{n}": Answer(video_id="v0", frames_given=[0, 1], key=f"{keys}{n}", seconds=seconds, device=device)
        for n in range(count)
    }
    write_answers(path, given, {"spec": {"answerer": answerer.spec()}})
    return path


def answering(plan):
    name = next(iter(plan.answerers))
    wildcards = {"dataset": "demo", "answerer": name, "selecting": "x", "chunk": "1", "n": "1"}
    return PlannedJob("evaluate", ("results/answers/x.json",), (), wildcards=wildcards, gpu=True)


def cost_of_answers(plan, frames):
    return Rates(Path(), DatasetStates(plan)).cost(answering(plan), plan, {"frames shown": frames})


def test_answers_are_scaled_by_the_frames_that_were_shown(plan):
    path = answers(plan, seconds=1.0, selecting="uniform-2-0", device="NVIDIA H100")
    benchmark(Path(path).relative_to("results").with_suffix(".tsv"), 8, 16)
    assert cost_of_answers(plan, 3600.0).gpu_hours == Estimate(pytest.approx(1.0), 1), "8 seconds for 8 frames"
    assert cost_of_answers(plan, 3600.0).cpu_hours == Estimate(pytest.approx(2.0), 1)


def test_answers_cost_no_less_than_the_model_took(plan):
    path = answers(plan, seconds=10.0, selecting="uniform-2-0", device="NVIDIA H100")
    benchmark(Path(path).relative_to("results").with_suffix(".tsv"), 2, 2)  # it ran again with all answers known
    assert cost_of_answers(plan, 8.0).gpu_hours == Estimate(pytest.approx(40 / 3600), 1)


def test_an_answer_in_two_files_was_given_once(plan):
    for selecting in ("uniform-2-0", "topk-2-0"):
        path = answers(plan, seconds=1.0, selecting=selecting, device="NVIDIA H100")
        benchmark(Path(path).relative_to("results").with_suffix(".tsv"), 4, 4)
    assert cost_of_answers(plan, 8.0).gpu_hours == Estimate(pytest.approx(8 / 3600), 2)


def test_other_rules_are_scaled_by_their_questions(plan):
    benchmark("selections/demo/aks-8-0.tsv", 9, 8)
    benchmark("selections/demo/topk-8-0.tsv", 1, 1)
    write_json("results/selections/demo/aks-8-0.json", {})
    job = PlannedJob(
        "select_frames",
        ("results/selections/demo/aks-8-1.json",),
        (),
        benchmark="benchmarks/selections/demo/aks-8-1.tsv",
        wildcards={"dataset": "demo"},
    )
    cost = Rates(Path(), DatasetStates(plan)).cost(job, plan, {"questions": 16.0})
    assert cost.cpu_hours == Estimate(pytest.approx(16 / 3600), 1), "topk tells nothing of aks"
    assert cost.gigabytes.measurements == 1


def test_videos_that_are_kept(plan):
    from framesift.forecast.cached import SCORES
    from framesift.scoring.cache import VideoCache

    scorer = plan.config.scorers["demo_clip"]
    videos = DatasetStates(plan)["demo"].videos
    for part in ("model.safetensors", "config.json"):
        file = Path(scorer.model) / part
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("weights")
    folder = VideoCache(scorer, plan.candidates, "pyav", SCORES).folder
    seen(plan, "demo_clip", 2, NOON, folder.name)
    assert cached_videos(plan, scorer, videos) == {"2" * 64}
    (Path(scorer.model) / "config.json").write_text("other weights")
    assert cached_videos(plan, scorer, videos) == set()


def test_answers_that_are_kept_belong_to_no_finished_file(plan, monkeypatch):
    from framesift.forecast import cached
    from framesift.storage.journal import Journal

    monkeypatch.setattr(cached, "journal_folder", lambda cache, answerer: cache / "one")
    journal = Journal(cached.ANSWERS / "one", "writer")
    for n in range(6):
        journal.add(f"k{n}", {"question_id": f"q{n}"})
    journal.close()
    finished = answers(plan, seconds=1.0, selecting="uniform-2-0", count=2)
    assert cached_answers(plan, [answering(plan)]) == 4
    again = PlannedJob("evaluate", (finished,), (), wildcards=answering(plan).wildcards)
    assert cached_answers(plan, [again]) == 6, "a job that runs again finds its own"


# Size


def test_a_table_of_too_many_jobs_is_refused(plan):
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    raw["datasets"]["videomme"]["shards"] = 5000
    with pytest.raises(InputError) as refused:
        Plan(load_config(raw))
    assert "5015 jobs (5000 score_frames, 3 select_frames, 12 evaluate)" in str(refused.value)
    assert "max_jobs = 2000" in str(refused.value)
    raw["max_jobs"] = 5015
    Plan(load_config(raw))


@pytest.fixture
def many(plan, monkeypatch):
    """Gives the state of a folder that holds more videos than Snakemake is told of one by one."""
    monkeypatch.setattr(sources, "MANY_VIDEOS", 2)
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    raw["datasets"]["mine"] = {"kind": "videomme", "data_dir": "mine", "download": False}
    folder = Path("mine/data")
    folder.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (folder / f"{name}.mp4").write_text(name)

    def state():
        now = Plan(load_config(raw))
        assert now.sources.video_files("mine") == []
        return now.sources.video_state("mine")

    return folder, state


def test_of_many_videos_a_digest_is_the_input(many):
    folder, state = many
    before = state()
    assert state() == before
    found = {before}
    (folder / "d.mp4").write_text("d")
    found.add(state())
    (folder / "d.mp4").unlink()
    (folder / "a.mp4").write_text("x")  # as long as before, and older than any result
    os.utime(folder / "a.mp4", (1e9, 1e9))
    found.add(state())
    (folder / "a.mp4").rename(folder / "e.mp4")
    found.add(state())
    assert len(found) == 4, "added, exchanged and renamed videos are all told apart"


def test_shards_are_as_the_rule_says_for_many_of_both():
    random.seed(0)
    videos = {f"v{n}": Video(f"v{n}", "", duration=random.choice([0.0, 1.5, random.random() * 90])) for n in range(300)}
    loads, expected = [0.0] * 40, {}
    for video in sorted(videos.values(), key=lambda video: (-video.duration, video.video_id)):
        emptiest = min(range(40), key=lambda shard: (loads[shard], shard))
        loads[emptiest] += video.duration
        expected[video.video_id] = emptiest + 1
    assert assign_shards(videos, 40) == dict(sorted(expected.items()))
