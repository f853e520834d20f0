"""What compression costs and saves: ordinary prefill, prefill in chunks, and prefill with PivotKV, in turn.

A network with random weights reads prompts of ever more frames. Told are the seconds of prefill, the bytes of keys and
values that are left, and on a GPU the peak of memory above the weights; each ratio is of two arms of one run.

  python workflow/scripts/bench_retake.py                         # a small network, on the CPU
  python workflow/scripts/bench_retake.py --network qwen2_vl_7b --device cuda --frames 64 256 1024 2048 --budget 32000
"""

import argparse
import statistics
import time
from typing import Any

from framesift.answering.retake.settings import Retake

VIDEO, START, END = 151, 152, 153
#: Text models: what Qwen2-VL-7B-Instruct's config.json says, and one that a laptop can run.
NETWORKS = {
    "small": {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
              "num_key_value_heads": 2},
    "qwen2_vl_7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                    "num_attention_heads": 28, "num_key_value_heads": 4},
}  # fmt: skip
QUESTION = 60
ARMS: dict[str, dict[str, Any]] = {
    "in chunks": {"budget_tokens": None, "dpselect": "none"},
    "PivotKV": {"dpselect": "none"},
    "PivotKV, positions in scores": {"dpselect": "none", "reforge": False},
    "PivotKV, asked by the question": {"dpselect": "none", "scores": "prompt"},
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", choices=NETWORKS, default="small")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: bfloat16 on a GPU")
    options.add_argument("--frames", type=int, nargs="+", default=[32, 64, 128, 256])
    options.add_argument(
        "--grid", type=int, nargs=2, default=(6, 8), metavar="N", help="tokens down and across a frame"
    )
    options.add_argument("--budget", type=int, default=1000, help="tokens that a layer remembers")
    options.add_argument("--pairs", type=int, default=3, help="times that each arm is run")
    args = options.parse_args()
    import torch

    dtype = getattr(torch, args.dtype or ("bfloat16" if args.device == "cuda" else "float32"))
    network = build(args.network, args.device, dtype)
    weights = torch.cuda.memory_allocated() if args.device == "cuda" else 0
    name = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"{args.network}, {dtype}, {name}; budget {args.budget} tokens; medians of {args.pairs} runs in turn")
    head = f"{'frames':>6} {'tokens':>7}  {'arm':31} {'seconds':>8} {'kept':>7} {'cache MB':>9} {'peak MB':>8}  ratios"
    print(head)
    for frames in args.frames:
        show(frames, args, network, weights)


def show(frames: int, args: argparse.Namespace, network: Any, weights: int) -> None:
    """Run every arm in turn and print a line for each."""
    inputs = prompt(frames, args, network)
    runs: dict[str, list[tuple[float, float, int, int]]] = {name: [] for name in ("ordinary", *ARMS)}
    once(network, inputs, {"dpselect": "none", "budget_tokens": None}, args, weights)  # the first kernels are slow
    for _ in range(args.pairs):
        for name, found in runs.items():
            arm = (
                None
                if name == "ordinary"
                else ARMS[name] | ({"budget_tokens": args.budget} if name != "in chunks" else {})
            )
            found.append(once(network, inputs, arm, args, weights))
    tokens = inputs["input_ids"].shape[1]
    for name, found in runs.items():
        seconds, peak = (statistics.median(run[column] for run in found) for column in (0, 1))
        ratios = []
        for other in ("ordinary", "in chunks"):
            if name not in (other, "ordinary"):
                each = [one[0] / two[0] for one, two in zip(found, runs[other], strict=True)]
                ratios.append(f"{statistics.median(each):.2f} of {other} ({min(each):.2f} to {max(each):.2f})")
        print(
            f"{frames:6} {tokens:7}  {name:31} {seconds:8.3f} {found[0][2]:7} {found[0][3] / 1e6:9.1f}"
            f" {peak / 1e6 if peak else float('nan'):8.0f}  {'; '.join(ratios)}",
            flush=True,
        )


def once(network: Any, inputs: dict[str, Any], arm: dict[str, Any] | None, args: argparse.Namespace, weights: int):
    """One prefill: seconds, peak bytes above the weights (0 on a CPU), tokens kept, bytes of keys and values."""
    import torch

    from framesift.answering.retake.generation import Compressed

    on_gpu = args.device == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    settings = Retake(**(arm or {"dpselect": "none", "budget_tokens": None}), encoder_frames=64)
    compression = Compressed(network, settings)
    with torch.no_grad():
        # the vision tower is the same for all: what is measured is the language model
        ready = compression.prompt(inputs["input_ids"], inputs)
        if arm is None:
            compression.remove()
        if on_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        cache = ordinary(network, ready) if arm is None else compression.prefill(ready)
        if on_gpu:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    compression.remove()
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    peak = torch.cuda.max_memory_allocated() - weights if on_gpu else 0
    return seconds, peak, max(layer.keys.shape[-2] for layer in cache.layers), held


def ordinary(network: Any, ready: Any) -> Any:
    """The prompt in one call of the network as transformers has it."""
    from transformers import DynamicCache

    cache = DynamicCache(config=network.config.get_text_config())
    network.model.language_model(
        inputs_embeds=ready.embeddings[:, :-1],
        position_ids=ready.positions[..., :-1],
        past_key_values=cache,
        use_cache=True,
    )
    return cache


def prompt(frames: int, args: argparse.Namespace, network: Any) -> dict[str, Any]:
    """A prompt with a video of random pixels."""
    import torch

    generator = torch.Generator().manual_seed(0)
    steps, (rows, columns) = frames // 2, args.grid
    ids = [5, START, *[VIDEO] * (steps * rows * columns), END, *[7] * QUESTION]
    pixels = torch.randn(steps * 4 * rows * columns, 3 * 2 * 14 * 14, generator=generator)
    inputs = {
        "input_ids": torch.tensor([ids]),
        "pixel_values_videos": pixels.to(network.dtype),
        "video_grid_thw": torch.tensor([[steps, 2 * rows, 2 * columns]]),
    }
    inputs["mm_token_type_ids"] = 2 * (inputs["input_ids"] == VIDEO).int()
    return {name: value.to(network.device) for name, value in inputs.items()}


def build(name: str, device: str, dtype: Any) -> Any:
    """A Qwen2-VL with random weights; its vision tower is small, since it is not what is measured."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    from framesift.answering.answerers._mrope import use_paper_positions

    sizes = NETWORKS[name]
    width = sizes["hidden_size"] // sizes["num_attention_heads"]
    config = Qwen2VLConfig(
        text_config={
            **sizes,
            "vocab_size": 1000,
            "max_position_embeddings": 262144,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections(width)},
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 2,
        },
        vision_config={
            "depth": 1,
            "embed_dim": 64,
            "hidden_size": sizes["hidden_size"],
            "num_heads": 2,
            "patch_size": 14,
        },
        image_token_id=150,
        video_token_id=VIDEO,
        vision_start_token_id=START,
        vision_end_token_id=END,
    )
    torch.manual_seed(0)
    with torch.device(device):
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            network = Qwen2VLForConditionalGeneration(config).eval()
        finally:
            torch.set_default_dtype(default)
    use_paper_positions(network)
    return network


def sections(width: int) -> list[int]:
    """How Qwen2-VL shares half a head's dimensions between time, rows and columns: 16, 24, 24 of 64."""
    half = width // 2
    return [half // 4, (half - half // 4) // 2, half - half // 4 - (half - half // 4) // 2]


if __name__ == "__main__":
    main()
