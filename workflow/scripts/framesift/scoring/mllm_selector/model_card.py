"""The model card of a trained selector, from the record of its training."""

from __future__ import annotations

from typing import Any

from framesift.scoring.mllm_selector.settings import SelectorSettings, TrainLlm

FIGURES = {"loss": "loss", "ndcg": "NDCG", "recall": "recall at k", "evidence_recall": "evidence recall"}
SAVED = {
    "none": "The language model is used as published.",
    "lora": "The language model carries a LoRA adapter (`adapter_model.safetensors`).",
    "all": "All of the language model was trained; `selector.safetensors` contains it.",
}


def model_card(settings: SelectorSettings, trained: TrainLlm, stages: list[dict[str, Any]]) -> str:
    """The text of README.md, in the form of the Hugging Face hub.

    Parameters
    ----------
    settings : SelectorSettings
    trained : str
        The part of the language model that was trained.
    stages : list of dict
        One a stage, as `framesift.training.train_selector.train` records them.
    """
    base = [one.model for one in (settings.llm, settings.vision) if one.revision]
    parts = [
        "---",
        "library_name: framesift",
        *(["base_model:", *(f"- {name}" for name in base)] if base else []),
        "tags:",
        "- video",
        "- frame-selection",
        "---",
        "",
        "# Frame selector",
        "",
        f"Scores {settings.n} frames of a video for a question in one pass, after *M-LLM Based Video Frame Selection"
        " for Efficient Video Understanding* (Hu et al., CVPR 2025, arXiv 2502.19680). An independent implementation;"
        " these weights are not the authors'.",
        "",
        "## Use",
        "",
        "With Framesift, name this folder or repository in a configuration:",
        "",
        "```yaml",
        "scorers:",
        "  mine: {kind: mllm_selector, model: FOLDER}",
        "```",
        "",
        "## What it is",
        "",
        *_table(
            ("part", "value"),
            [
                ("vision encoder, frozen", _named(settings.vision)),
                ("frames", settings.n),
                ("tokens a frame", settings.vision.pool**2),
                ("language model", _named(settings.llm)),
                ("order", settings.order.replace("_", " ")),
                ("read-out", f"hidden state {settings.read_out} at the score query"),
                ("template", f"`{settings.template!r}`, with the {settings.text.replace('_', ' ')}"),
                ("template hash", f"`{settings.template_hash}`"),
            ],
        ),
        "",
        SAVED[trained],
    ]
    for stage in stages:
        parts += ["", f"## Training, stage {stage['settings']['stage']}", "", *_stage(stage)]
    return "\n".join(parts) + "\n"


def _stage(stage: dict[str, Any]) -> list[str]:
    data = [
        (kind, one["file"], one["rows"], f"`{one['sha256'][:16]}`")
        for kind, files in stage["data"].items()
        for one in files
    ]
    llm, given = stage["settings"]["train_llm"], stage["settings"].items()
    hidden = {"stage", *(() if llm == "lora" else ("lora",)), *(() if llm == "all" else ("saved_as",))}
    rows = [(key, _text(value)) for key, value in given if key not in hidden and value is not None]
    figures = [(FIGURES[key], f"{value:.4f}") for key, value in stage["validation"].items() if value is not None]
    lines = [
        *_table(("data", "file", "rows", "SHA-256, first digits"), data),
        "",
        *_table(("setting", "value"), rows),
        "",
    ]
    if figures:
        lines += [f"Validation after the last of {stage['steps']} steps (k = {stage['settings']['recall_at']}):", ""]
        lines += _table(("figure", "value"), figures)
    else:
        lines += [f"{stage['steps']} steps, without validation data."]
    how = f"{stage['samples_per_second']:.3g} examples a second on {stage['device']}"
    if stage.get("peak_bytes"):
        how += f", at most {stage['peak_bytes'] / 1e9:.1f} GB of its memory"
    return [*lines, "", f"Curves: `curves.csv`. {how}; {', '.join(f'{k} {v}' for k, v in stage['versions'].items())}."]


def _named(part: Any) -> str:
    return f"{part.model} at `{part.revision}`" if part.revision else f"{part.model} (a folder)"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _table(head: tuple[str, ...], rows: list[tuple]) -> list[str]:
    lines = [head, ("---",) * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
