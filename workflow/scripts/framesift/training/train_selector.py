"""Train one stage, on one device or several. A run that is killed resumes as if nothing had happened."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from torch import nn

from framesift.checkpoints.component import device_name, model_digest, pick_device
from framesift.core.errors import InputError
from framesift.core.spec import spec_id, spec_of
from framesift.program.cli import log
from framesift.scoring.mllm_selector.batches import Batch, MicroBatches, Reader, VideoFeatures
from framesift.scoring.mllm_selector.checkpoint import (
    TrainedSelector,
    add_adapters,
    from_pretrained,
    new_selector,
    save_pretrained,
)
from framesift.scoring.mllm_selector.examples import Example, files_of, read_examples, read_instructions
from framesift.scoring.mllm_selector.settings import SelectorSettings, Stage, TrainingSpec
from framesift.storage.checksums import file_digest
from framesift.training.progress import Curves, TrainingState, curves_text
from framesift.training.validation import figures_of, mean_figures

#: Steps between two log lines.
LOG_EVERY = 20


@dataclass(frozen=True)
class Files:
    """The data files of a stage.

    Attributes
    ----------
    examples, instructions, validation : tuple of path
        Parquet files, or folders of them: `examples.Example` and `examples.Instruction`.
    features : tuple of path
        From embed_frames.py, for all their videos.
    """

    examples: tuple[Path, ...]
    features: tuple[Path, ...]
    instructions: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()

    def record(self, kinds: Collection[str]) -> dict[str, list[dict[str, Any]]]:
        """Name, size and SHA-256 of each file with records."""
        import pyarrow.parquet as pq

        given = {"importance": self.examples, "instruction": self.instructions, "validation": self.validation}
        return {
            kind: [
                {"file": file.name, "rows": pq.read_metadata(file).num_rows, "sha256": file_digest(file)}
                for file in files_of(paths)
            ]
            for kind, paths in given.items()
            if paths and kind in kinds
        }


def train(
    spec: TrainingSpec,
    files: Files,
    *,
    work: Path,
    out: Path,
    start: Path | None,
    device: str = "auto",
    readers: int = 0,
) -> None:
    """Run or resume one stage, and write the selector.

    Parameters
    ----------
    spec : TrainingSpec
    files : Files
    work : path
        Folder of the progress; a run with the same settings and data resumes from it.
    out : path
        Folder of the trained selector (`checkpoint.save_pretrained`).
    start : path or None
        Folder of the selector to continue from; None to start from the settings of `spec`.
    device : str
        ``cpu``, or ``auto``.
    readers : int
        Processes that prefetch features.

    Raises
    ------
    InputError
        If settings, data and start do not fit together.
    """
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    stage = spec.stage
    if "LOCAL_RANK" in os.environ:  # one of several processes, which share the GPUs of on_gpus.py
        Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    else:
        device = pick_device(device)
    accelerator = Accelerator(
        cpu=device == "cpu",
        mixed_precision="bf16" if stage.precision == "bfloat16" else "no",
        # projector, query and head take turns in having a gradient
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=len(stage.tasks) > 1)],
    )
    selector = _selector(spec, start)
    reader, records, validation = _data(selector.settings, stage, files, selector.tokenizer)
    batches = MicroBatches(reader, records, stage, accelerator.process_index, accelerator.num_processes)
    accelerator.gradient_accumulation_steps = batches.parts
    data = files.record((*stage.tasks, "validation"))
    run = spec_id([spec_of(spec), data, model_digest(str(start), None) if start else None])
    progress = TrainingState(work / "progress.safetensors", run)
    loop = _StageLoop(accelerator, selector, stage, batches, validation, progress)
    seconds, steps = loop.go(work / "curves.csv", readers)
    if not accelerator.is_main_process:
        return
    selector.stages.append(
        {
            "settings": spec_of(stage),
            "data": data,
            "steps": batches.steps,
            "validation": loop.figures,
            "samples_per_second": steps * stage.batch_size / seconds if steps else 0.0,
            "device": device_name(accelerator.device.type),
            "devices": accelerator.num_processes,
            "peak_bytes": torch.cuda.max_memory_allocated() if accelerator.device.type == "cuda" else None,
            "versions": _versions(),
        }
    )
    selector.curves = curves_text(loop.curves.rows, selector.curves)
    # what is saved of the language model: the part that this stage or an earlier one trained
    trained = selector.config.trained if stage.train_llm == "none" else stage.train_llm
    save_pretrained(selector, out, trained=trained, dtype=getattr(torch, stage.saved_as))
    log.info("%s: %d steps, %s", out, batches.steps, loop.figures)


class _StageLoop:
    """The training loop of a stage."""

    def __init__(
        self,
        accelerator: Any,
        selector: TrainedSelector,
        stage: Stage,
        batches: MicroBatches,
        validation: Sequence[Example],
        progress: TrainingState,
    ) -> None:
        self.accelerator, self.stage, self.batches, self.progress = accelerator, stage, batches, progress
        self.validation, self.network = validation, selector.network
        self.trained = prepare(selector, stage)
        optimizer = torch.optim.AdamW(self.trained.values(), lr=stage.learning_rate, weight_decay=stage.weight_decay)
        self.wrapped, self.optimizer = accelerator.prepare(self.network, optimizer)
        self.figures: dict[str, float | None] = {}
        self.curves: Curves

    def go(self, curves: Path, readers: int) -> tuple[float, int]:
        """Run the remaining steps; returns their seconds and number."""
        accelerator, batches = self.accelerator, self.batches
        first, rows = self.progress.load(self.trained, self.optimizer.optimizer)
        self.curves = Curves(curves if accelerator.is_main_process else None, rows)
        if first:
            log.info("resuming after step %d of %d", first, batches.steps)
        if rows and rows[-1]["task"] == "validation":
            self.figures = {name: rows[-1][name] for name in ("loss", "ndcg", "recall", "evidence_recall")}
        numbers = range(first * batches.parts, len(batches))
        loader = torch.utils.data.DataLoader(
            batches, batch_size=None, sampler=numbers, num_workers=readers, pin_memory=accelerator.device.type == "cuda"
        )
        start, losses = time.monotonic(), []
        for number, batch in zip(numbers, loader, strict=True):
            losses.append(self._micro(number, batch))
            if accelerator.sync_gradients:
                self._step_done(number // batches.parts, accelerator.reduce(torch.stack(losses).mean(), "mean").item())
                losses = []
        return time.monotonic() - start, batches.steps - first

    def _micro(self, number: int, batch: Batch) -> torch.Tensor:
        """Forward and backward pass of one part of a step, and the update after the last."""
        accelerator, stage = self.accelerator, self.stage
        # dropout depends only on the number of the pass, so there is no state to save
        seed = np.random.SeedSequence([stage.seed, stage.stage, number, accelerator.process_index])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        with accelerator.accumulate(self.wrapped):
            loss = self.wrapped(batch.to(accelerator.device))
            if not torch.isfinite(loss):
                raise InputError(
                    f"the loss is {loss.item()} at step {number // self.batches.parts + 1}",
                    field="stage: learning_rate",
                    value=stage.learning_rate,
                    hint="try a smaller rate, or precision: float32",
                )
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(self.trained.values(), stage.clip)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate(stage, number // self.batches.parts, self.batches.steps)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return loss.detach()

    def _step_done(self, step: int, loss: float) -> None:
        """After a step (from 0): write curves, validate, save progress."""
        stage, last = self.stage, step + 1 == self.batches.steps
        row = {"step": step + 1, "stage": stage.stage, "lr": rate(stage, step, self.batches.steps)}
        self.curves.add(row | {"task": self.batches.task(step), "loss": loss})
        if last or (step + 1) % (stage.validate_every or self.batches.epoch_steps) == 0:
            self.figures = self._validate()
            if self.figures:
                self.curves.add(row | {"task": "validation"} | self.figures)
        if (last or (step + 1) % stage.save_every == 0) and self.accelerator.is_main_process:
            self.progress.save(step + 1, self.trained, self.optimizer.optimizer, self.curves)
        if last or (step + 1) % LOG_EVERY == 0:
            log.info("step %d of %d, %s: loss %.4f", step + 1, self.batches.steps, self.batches.task(step), loss)

    @torch.no_grad()
    def _validate(self) -> dict[str, float | None]:
        """Figures on the validation examples; every process computes its share."""
        from accelerate.utils import gather_object

        accelerator, figures = self.accelerator, []
        if not self.validation:
            return {}
        self.network.eval()
        for example in self.validation[accelerator.process_index :: accelerator.num_processes]:
            batch = self.batches.reader.importance([example]).to(accelerator.device)
            with accelerator.autocast():
                logits = self.network.logits(batch.frames[batch.of], batch.texts)[0].float().cpu().numpy()
            figures.append(figures_of(example, logits, self.stage.recall_at))
        self.network.train()
        return mean_figures(gather_object(figures))


def prepare(selector: TrainedSelector, stage: Stage) -> dict[str, nn.Parameter]:
    """Prepare a network for a stage; returns the parameters that it trains, by name."""
    network = selector.network
    torch.manual_seed(stage.seed)  # for new adapters
    if stage.train_llm == "lora":
        add_adapters(selector, stage.lora)
    if stage.gradient_checkpointing:
        network.trunk.activation_checkpointing_enable()
    network.train()
    return network.choose_trained(stage.train_llm)


def rate(stage: Stage, step: int, steps: int) -> float:
    """The learning rate of a step (from 0): linear warm-up, then half a cosine to 0.

    Examples
    --------
    >>> from framesift.scoring.mllm_selector.settings import SecondStage
    >>> stage = SecondStage(learning_rate=1.0, warmup=0.5)
    >>> [round(rate(stage, step, 4), 3) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup = max(1, round(stage.warmup * steps))
    if step < warmup:
        return stage.learning_rate * (step + 1) / warmup
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _selector(spec: TrainingSpec, start: Path | None) -> TrainedSelector:
    stage = spec.stage
    replies = "instruction" in stage.tasks
    # frozen weights have the precision of computation, trained ones stay float32
    dtype = torch.float32 if stage.train_llm == "all" else getattr(torch, stage.precision)
    if start is None:
        if spec.selector is None:
            raise InputError("has neither a network nor a selector to continue from", field="--spec: selector")
        return new_selector(spec.selector, seed=stage.seed, dtype=dtype, replies=replies)
    selector = from_pretrained(str(start), dtype=dtype, replies=replies)
    if spec.selector is not None and spec_of(spec.selector) != spec_of(selector.settings):
        raise InputError(
            "is not the selector that the settings describe",
            file=start,
            field="--initial",
            hint="leave `selector` out of the settings to use it as it is",
        )
    if (selector.config.trained, stage.train_llm) in (("all", "lora"), ("lora", "all")):
        raise InputError(
            f"has a language model trained by {selector.config.trained!r}",
            file=start,
            field="stage: train_llm",
            value=stage.train_llm,
            expected="the same, or none",
        )
    return selector


def _data(
    settings: SelectorSettings, stage: Stage, files: Files, tokenizer: Any
) -> tuple[Reader, dict[Any, Sequence[Any]], list[Example]]:
    """The reader of features, the records of each task, and the validation examples."""
    features = VideoFeatures(files.features)
    if features.encoder != spec_of(settings.vision):
        raise InputError(
            "come from a different encoder than the selector's",
            field="--features",
            value=features.encoder,
            expected=str(spec_of(settings.vision)),
        )
    records: dict[Any, Sequence[Any]] = {"importance": read_examples(files.examples, settings.n)}
    if "instruction" in stage.tasks:
        if not files.instructions:
            raise InputError(
                "are required for the task `instruction`",
                field="--instructions",
                hint="give them, or leave the task out: stage: {tasks: [importance]}",
            )
        records["instruction"] = read_instructions(files.instructions)
    validation = read_examples(files.validation, settings.n) if files.validation else []
    for kind, group in {**records, "validation": validation}.items():
        if missing := sorted({record.video_id for record in group if record.video_id not in features}):
            raise InputError(
                f"{len(missing)} videos have no features",
                field=f"--features ({kind})",
                value=missing[0],
                hint="embed their frames with embed_frames.py, and leave out questions about broken videos",
            )
        if not group and kind != "validation":
            raise InputError("there are no records", field=kind)
    return Reader(settings, tokenizer, features), records, validation


def _end_with(parent: int) -> None:
    """End this process with its parent: torchrun starts sessions of their own, which survive if torchrun is killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _versions() -> dict[str, str]:
    import accelerate
    import peft
    import transformers

    modules = {"torch": torch, "transformers": transformers, "peft": peft, "accelerate": accelerate}
    return {"python": platform.python_version()} | {name: str(one.__version__) for name, one in modules.items()}
