"""Measure what scoring costs: the way of AKS's release against ours, one decode pass, readers alone, a warm cache.

Arms, each in a fresh process; a pair runs all of them once, every other pair in reverse order:
  R   for each of 3 questions: decord opens the video, each candidate goes through processor and model by itself
  O   what a run of the workflow does, nothing cached, 3 questions
  W   a 4th question on the videos that O has cached
  D   our reader alone, as RGB
  F   decoding every frame, no conversion (one thread)
  N   F, without frames that no other refers to
Costs are CPU seconds of the process and its children from after the model is loaded to the last score; on a GPU, wall
seconds. Before any number is printed, R and O must have seen the same frames, and given the same scores and selection.
Weights are random, of the real size; the time does not depend on them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from framesift.checkpoints.component import pick_device
from framesift.program.cli import run as run_program

if TYPE_CHECKING:
    from framesift.scoring.score_videos import LoadedEncoder

QUESTIONS = ["what does the person in the red coat do", "who opens the door", "why", "where is the dog at the end"]
BUDGET = 8


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scorer", choices=["clip", "blip_itm"], default="clip")
    options.add_argument("--video", type=Path, help="a real clip (default: one is made)")
    options.add_argument("--seconds", type=int, default=60, help="length of the made clip")
    options.add_argument("--copies", type=int, default=1, help="videos in the shard, all the same clip")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--arms", default="ROWDFN", help="those to run (default: all)")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--dtype", default="float32", help="precision of the model in O and W")
    options.add_argument("--workers", type=int, default=1, help="decoding processes in O")
    options.add_argument("--decoder", default="pyav", help="decoder in O")
    options.add_argument("--folder", type=Path, default=Path("results/bench"), help="keeps the clip and the weights")
    options.add_argument("--json", type=Path, help="write all figures there too")
    args = options.parse_args()

    args.device = pick_device(args.device)  # one GPU for all arms, and no other job on it
    args.folder.mkdir(parents=True, exist_ok=True)
    args.video = args.video or made_clip(args.folder, args.seconds)
    args.model = made_model(args.folder, args.scorer)
    runs: list[dict[str, dict]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for pair in range(args.pairs):
            args.cache = Path(scratch) / str(pair)
            order = [arm for arm in "RODFNW" if arm in args.arms]
            if pair % 2:
                order = order[::-1]
                if "O" in order and "W" in order:  # W is cheap and needs what O leaves
                    order.remove("W")
                    order.insert(order.index("O") + 1, "W")
            runs.append({arm: in_fresh_process(arm, args) for arm in order})
            if pair == 0:
                check(runs[0], args)
            print(f"pair {pair + 1} of {args.pairs} done", file=sys.stderr)
    report(runs, args)


def check(run: dict[str, dict], args: argparse.Namespace) -> None:
    """The gates: what is compared does the same."""
    if "R" in run and "O" in run:
        theirs, ours = run["R"], run["O"]
        assert theirs["frames"] == ours["frames"], "other candidate frames"
        exact = args.device == "cpu" and args.dtype == "float32"
        if args.decoder != "nvdec":
            assert theirs["pixels"] == run.get("D", theirs)["pixels"], "other pixels"
        worst = max(
            abs(a - b) for x, y in zip(theirs["scores"], ours["scores"], strict=True) for a, b in zip(x, y, strict=True)
        )
        agree = [best(x) == best(y) for x, y in zip(theirs["scores"], ours["scores"], strict=True)]
        print(
            f"largest difference of scores {worst:.1e}; the same {BUDGET} best frames in {sum(agree)} of {len(agree)}"
        )
        assert not exact or (worst <= 1e-5 and all(agree)), "other scores"


def best(scores: list[float]) -> list[int]:
    return sorted(sorted(range(len(scores)), key=lambda i: (-round(scores[i], 6), i))[:BUDGET])


def report(runs: list[dict[str, dict]], args: argparse.Namespace) -> None:
    key = "cpu" if args.device == "cpu" else "wall"
    figures: dict[str, list[float]] = {}
    for name, above, below, factor in [
        ("R / O     reference to ours, 3 questions", "R", "O", 1.0),
        ("(R/3) / W reference to ours, a 4th question", "R", "W", 1 / 3),
        ("D / F     our reader to a full decode", "D", "F", 1.0),
        ("D / N     our reader to a decode without non-reference frames", "D", "N", 1.0),
    ]:
        if {above, below} <= runs[0].keys():
            factor *= args.copies if above == "R" else 1  # R sees one video, O and W see all
            figures[name] = [run[above][key] * factor / run[below][key] for run in runs]
    for arm in runs[0]:
        figures[f"{arm} peak memory, MB"] = [run[arm]["memory"] for run in runs]
        if "gpu_memory" in runs[0][arm]:
            figures[f"{arm} peak memory of the GPU, MB"] = [run[arm]["gpu_memory"] for run in runs]
    if "O" in runs[0]:
        frames = len(runs[0]["O"]["frames"]) * args.copies
        figures["O frames/s (wall)"] = [frames / run["O"]["wall"] for run in runs]
        figures["O share of time the model works, %"] = [100 * run["O"]["busy"] for run in runs]
    settings = {name: str(value) for name, value in vars(args).items() if name not in ("cache", "json", "folder")}
    print(json.dumps(settings))
    width = max(map(len, figures))
    print(f"{'':{width}}  median     min     max   ({len(runs)} pairs, {key} seconds)")
    for name, values in figures.items():
        print(f"{name:{width}} {statistics.median(values):7.2f} {min(values):7.2f} {max(values):7.2f}")
    if args.json:
        args.json.write_text(json.dumps({"settings": settings, "figures": figures}, indent=1) + "\n")


# Arms


def in_fresh_process(arm: str, args: argparse.Namespace) -> dict:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_arm, args=(arm, args, theirs))
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        sys.exit(f"error: arm {arm} failed")
    process.join()
    return result


def _arm(arm: str, args: argparse.Namespace, answer) -> None:
    import torch

    torch.set_num_threads(1)
    run = {"R": reference, "O": cold, "W": warm, "D": reader, "F": full_decode, "N": full_decode}[arm](arm, args)
    next(run)  # what comes before the clock starts
    on_gpu = args.device == "cuda" and arm in "ROW"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = cpu(), time.perf_counter()
    result = next(run)
    if on_gpu:  # every arm ends with scores on the CPU, so nothing should be left to wait for
        torch.cuda.synchronize()
    result |= {"cpu": cpu() - start[0], "wall": time.perf_counter() - start[1]}
    result["memory"] = peak_memory()
    if on_gpu:
        result["gpu_memory"] = torch.cuda.max_memory_allocated() / 2**20
    result |= next(run, {})
    answer.send(result)
    answer.close()


def cpu() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(one)[:2]) for one in who)


def peak_memory() -> float:
    """Largest resident size of this process in MB (ru_maxrss would count the process that started it)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024


def indexed(args: argparse.Namespace):
    from framesift.video.grid import CandidateGrid
    from framesift.video.table import describe_video

    return describe_video(("clip", args.video), CandidateGrid())


def reference(arm: str, args: argparse.Namespace):
    import decord
    import numpy as np
    import torch
    from PIL import Image
    from transformers import (
        AutoTokenizer,
        BlipForImageTextRetrieval,
        BlipImageProcessorPil,
        CLIPImageProcessorPil,
        CLIPModel,
    )

    classes = {
        "clip": (CLIPModel, CLIPImageProcessorPil),
        "blip_itm": (BlipForImageTextRetrieval, BlipImageProcessorPil),
    }
    cls, pictures = classes[args.scorer]
    model = cls.from_pretrained(args.model).eval().to(args.device)
    processor, tokenizer = pictures.from_pretrained(args.model), AutoTokenizer.from_pretrained(args.model)

    def score(raw, tokens) -> float:
        pixels = processor(images=Image.fromarray(raw), return_tensors="pt")["pixel_values"].to(args.device)
        with torch.no_grad():
            if args.scorer == "clip":
                image = model.get_image_features(pixel_values=pixels).pooler_output
                text = model.get_text_features(**tokens).pooler_output
                return torch.cosine_similarity(text, image).item()
            logits = model(pixel_values=pixels, **tokens).itm_score
            return torch.softmax(logits, dim=1)[0, 1].item()

    def tokens_of(question: str):
        tokens = tokenizer(question, return_tensors="pt").to(args.device)
        tokens.pop("token_type_ids", None)
        return tokens

    if args.device == "cuda":  # the first kernels are slow
        score(np.zeros((720, 1280, 3), np.uint8), tokens_of(QUESTIONS[0]))
    yield
    frames, scores, digest = [], [], hashlib.sha256()
    for question in QUESTIONS[:3]:
        video = decord.VideoReader(str(args.video), num_threads=1)
        stride = int(video.get_avg_fps())
        frames = [j * stride for j in range(int(len(video) / stride))]
        row = []
        tokens = tokens_of(question)
        for frame in frames:
            raw = video[frame].asnumpy()
            if not scores:
                digest.update(raw.tobytes())
            row.append(score(raw, tokens))
        scores.append(row)
    yield {"frames": frames, "scores": scores, "pixels": digest.hexdigest()}


def _scoring(args: argparse.Namespace):
    from framesift.core.components import build
    from framesift.data.questions import Question
    from framesift.scoring.score_videos import VideoScorer, model_of
    from framesift.video.table import Video

    spec = {"kind": args.scorer, "model": str(args.model), "dtype": args.dtype}
    if args.scorer == "blip_itm":
        spec |= {"first_token": "cls", "text_cleaning": "none"}
    model = model_of(build("scorers", spec), {"rule": "index"}, args.decoder, args.cache, args.device)
    assert model.form  # loads
    row = indexed(args)
    videos = [Video(**(vars(row) | {"video_id": f"v{n}", "digest": f"{n:064d}"})) for n in range(args.copies)]

    def score(texts: list[str]) -> list[list[float]]:
        questions = {
            video.video_id: [
                Question(
                    question_id=f"{video.video_id}-{i}", video_id=video.video_id, question=text, options=(), answer=None
                )
                for i, text in enumerate(texts)
            ]
            for video in videos
        }
        scoring = VideoScorer([model], decoder=args.decoder, workers=args.workers, timeout=120)
        rows = {row.question_id: row.scores for rows in scoring.score(videos, questions) for row in rows}
        return [rows[f"v0-{i}"] for i in range(len(texts))]

    return model, row, score


def cold(arm: str, args: argparse.Namespace):
    model, row, score = _scoring(args)
    warm_up(model)
    yield
    start = time.perf_counter()
    scores = score(QUESTIONS[:3])
    yield {"frames": row.frames, "scores": scores, "busy": model.seconds / (time.perf_counter() - start)}


def warm(arm: str, args: argparse.Namespace):
    model, _, score = _scoring(args)
    warm_up(model)
    yield
    yield {"scores": score(QUESTIONS[3:])}


def warm_up(model: LoadedEncoder) -> None:
    """The first kernels of each tower on a GPU are slow."""
    if model.device == "cuda":
        import numpy as np

        seen = model.see(np.zeros((model.batch_size, *model.form.shape), np.uint8), QUESTIONS[:1])
        if model.encoder.keeps_features:  # then no text was seen yet
            model._of_features(seen[0], QUESTIONS[:1])
        model.seconds = 0.0


def reader(arm: str, args: argparse.Namespace):
    from framesift.video.decoders import read_candidates

    row = indexed(args)
    yield
    for _ in read_candidates(row, args.decoder):
        pass
    yield {"frames": row.frames}
    digest = hashlib.sha256()
    for image in read_candidates(row, args.decoder):
        digest.update(image.tobytes())
    yield {"pixels": digest.hexdigest()}


def full_decode(arm: str, args: argparse.Namespace):
    import av

    yield
    with av.open(str(args.video)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        if arm == "N":
            stream.codec_context.skip_frame = "NONREF"
        count = sum(1 for _ in container.decode(stream))
    yield {"decoded": count}


# What is measured on


def made_clip(folder: Path, seconds: int) -> Path:
    """720p H.264 with three B-frames in four: a seeded scene under a moving camera, things moving in it, and noise."""
    import av
    import numpy as np
    from PIL import Image

    path = folder / f"scene-{seconds}s.mp4"
    if path.is_file():
        return path
    rng = np.random.default_rng(0)
    scene = np.zeros((1080, 1920, 3))
    for cells in (9, 30, 100, 400):  # coarse and fine structure
        layer = Image.fromarray(rng.integers(0, 256, (cells, 2 * cells, 3), dtype=np.uint8))
        scene += np.asarray(layer.resize((1920, 1080), Image.Resampling.BICUBIC), dtype=float) / 4
    scene = ((scene - 128) * 1.6 + 128).clip(0, 255).astype(np.int16)
    noise = rng.normal(0, 4, (16, 720, 1280, 1)).astype(np.int16)
    things = [(*rng.integers(0, 700, 2), *rng.integers(-6, 7, 2), rng.integers(0, 256, 3)) for _ in range(12)]
    temporary = path.with_suffix(".part.mp4")
    with av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.options = {"crf": "26", "preset": "medium", "g": "250", "bf": "3", "b_strategy": "0"}
        stream.codec_context.color_primaries = stream.codec_context.color_trc = stream.codec_context.colorspace = 1
        for t in range(30 * seconds):
            top, left = int(180 + 170 * np.sin(t / 70)), int(320 + 310 * np.sin(t / 110))
            image = scene[top : top + 720, left : left + 1280] + noise[t % 16]
            for y, x, down, right, colour in things:
                y, x = (y + down * t) % 600, (x + right * t) % 1160
                image[y : y + 120, x : x + 120] = (image[y : y + 120, x : x + 120] + 3 * colour) // 4
            frame = av.VideoFrame.from_ndarray(image.clip(0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    temporary.rename(path)
    return path


def made_model(folder: Path, scorer: str) -> Path:
    """A checkpoint of the real size, random weights, and a tokenizer that knows the words of the questions."""
    import torch
    import transformers
    from transformers.models.blip import BlipProcessor

    path = folder / scorer
    if (path / "done").is_file():
        return path
    torch.manual_seed(0)
    if scorer == "clip":  # the defaults are ViT-B/32
        config = transformers.CLIPConfig(text_config={"eos_token_id": 3, "bos_token_id": 2})
        transformers.CLIPModel(config).save_pretrained(path)
        processor = transformers.CLIPProcessor(transformers.CLIPImageProcessor(), made_tokenizer())
    elif scorer == "siglip":  # the defaults are ViT-B/16 at 224
        transformers.SiglipModel(transformers.SiglipConfig()).save_pretrained(path)
        processor = transformers.SiglipProcessor(transformers.SiglipImageProcessor(), made_tokenizer())
    elif scorer == "blip2_itm":  # the defaults are ViT-g/14 and BERT-base; there is no language model in it
        config = transformers.Blip2Config(
            qformer_config={"use_qformer_text_input": True, "vocab_size": 30523}, image_text_hidden_size=256
        )
        model = transformers.Blip2ForImageTextRetrieval(config)
        model.query_tokens.data.normal_(std=0.02)  # a fresh model has none but zeros
        model.save_pretrained(path)
        processor = transformers.Blip2Processor(transformers.BlipImageProcessor(), made_tokenizer(), 32)
    else:  # ViT-L/16 at 384
        vision = {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 384,
            "initializer_range": 0.02,
        }
        text = {"encoder_hidden_size": 1024, "num_attention_heads": 12}
        config = transformers.BlipConfig(vision_config=vision, text_config=text)
        transformers.BlipForImageTextRetrieval(config).save_pretrained(path)
        processor = BlipProcessor(transformers.BlipImageProcessor(), made_tokenizer())
    processor.save_pretrained(path)
    (path / "done").touch()
    return path


def made_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({word for text in QUESTIONS for word in text.split()})]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", bos_token="[CLS]", eos_token="[SEP]"
    )


if __name__ == "__main__":
    run_program(main)
