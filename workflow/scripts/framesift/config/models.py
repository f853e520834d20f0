"""The configuration as pydantic models. The schema and the key table of the manual are generated from these."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model, field_validator, model_validator

from framesift.answering.protocols import Control, Protocol
from framesift.core.components import FAMILIES, Component, own
from framesift.core.spec import not_in_spec
from framesift.demo.config import DemoWorld
from framesift.judging.by_llm import Judge
from framesift.scoring.mllm_selector.settings import AnyStage, FirstStage, SecondStage, SelectorSettings
from framesift.video.decoders import Decoder
from framesift.video.grid import CandidateGrid

if TYPE_CHECKING:
    from framesift.answering.answerers import Answerer as AnyAnswerer
    from framesift.data.benchmarks import Dataset as AnyDataset
    from framesift.scoring.encoders import Encoder as AnyEncoder
    from framesift.scoring.scorers import ScoreSource as AnyScorer
    from framesift.selection.selectors import SelectionSource as AnySelector

#: Names the user gives to configured things; some become parts of file names.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Budget = Annotated[int, Field(ge=1)]


def _any_of(family: str, plugins: Iterable[type[Component]] = ()) -> Any:
    """The type "one of the implementations of a family", with some plug-ins; `kind` distinguishes them."""
    classes = (*own(family), *plugins)
    return Annotated[Union[classes], Field(discriminator="kind")]  # noqa: UP007 (made at run time)


if not TYPE_CHECKING:
    AnyDataset, AnyEncoder, AnyScorer, AnySelector, AnyAnswerer = map(_any_of, FAMILIES)


class ConfigSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(ConfigSection):
    """One table: every selector with every scorer it needs, at every budget, for every answerer."""

    dataset: Name = Field(description="Name of a dataset.")
    answerers: tuple[Name, ...] = Field(default=(), description="Names of the video LLMs that answer.")
    scorers: tuple[Name, ...] = Field(default=(), description="Names of scorers, for the selectors that need scores.")
    encoder: Name | None = Field(
        default=None,
        description="Name of an encoder, or of a scorer that keeps embeddings (`clip`, `siglip`, `blip_itc`), for the"
        " selectors that need embeddings; without it, each scorer's own.",
    )
    pairs: dict[Name, tuple[Name, ...]] = Field(
        default={}, description="By selector, those of `scorers` that it is shown with, where that is not all of them."
    )
    selectors: tuple[Name, ...] = Field(default=(), description="Names of selectors; the baseline is one of them.")
    budgets: tuple[Budget, ...] = Field(default=(), description="Frames the answerer may see.")
    baseline: Name = Field(
        default="uniform",
        description="The selector that differences are taken to; in a table of `runs` alone, the name of one.",
    )
    protocol: Protocol = Field(
        default="fair",
        description="`fair`: every method gives min(budget, candidates) frames, in time order; `released`: what the"
        " scripts of AKS's release do, to reproduce printed numbers.",
    )
    controls: tuple[Control | Literal["churn"], ...] = Field(
        default=(),
        description="Negative controls, each one more row of the baseline's selection: `zeroed` (the first frame of"
        " the video in place of each), `shuffled` (another order), `blank` (grey pictures). `churn`: two random"
        " selections of the budget, whose different answers are the noise under every other difference.",
    )
    prompt: str | dict[str, str] | None = Field(
        default=None,
        description="Text around a question: a name that the dataset knows, or lmms-eval's keys (`pre_prompt`,"
        " `post_prompt`) with their texts; none for the dataset's usual one.",
    )
    subtitles: Literal["none", "all", "frames"] = Field(
        default="none", description="Subtitles before the question: `all`, or those shown with the chosen `frames`."
    )
    unparsed: Literal["wrong", "lmms_eval"] = Field(
        default="wrong",
        description="Who decides whether an answer is right: our parser, for which an answer without an option is"
        " `wrong`; or `lmms_eval`'s task by its own rules, random guesses included.",
    )
    judge: Name | None = Field(
        default=None, description="Name of the judge of open answers; without one they stay unjudged."
    )
    runs: tuple[Name, ...] = Field(default=(), description="Names of finished lmms-eval runs to show as rows.")
    group_by: str | None = Field(
        default=None,
        description="Grouping whose groups get a column of their own: one the dataset has (`duration`, `task_type`)"
        ", or `evidence` where it has annotated evidence.",
    )

    @field_validator("answerers", "scorers", "selectors", "budgets", "controls", "runs")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        twice = [value for position, value in enumerate(values) if value in values[:position]]
        if twice:
            raise ValueError(f"{twice[0]!r} comes twice")
        return values

    @model_validator(mode="after")
    def _has_rows(self) -> Table:
        parts = {"answerers": self.answerers, "selectors": self.selectors, "budgets": self.budgets}
        missing = [name for name, part in parts.items() if not part]
        for selector, scorers in self.pairs.items():
            for name, known in ((selector, self.selectors), *((scorer, self.scorers) for scorer in scorers)):
                if name not in known:
                    raise ValueError(f"pairs: {name!r} is not among those of the table: {', '.join(known) or 'none'}")
        if missing and (len(missing) < len(parts) or not self.runs):
            raise ValueError(f"a table needs {' and '.join(missing)}, or `runs` alone")
        return self


class ImportedRun(ConfigSection):
    """A finished run of lmms-eval, whoever did it."""

    samples: str = Field(description="Its samples file (`*_samples_*.jsonl`, `.gz` allowed).")
    results: str | None = Field(default=None, description="Its results file (`*_results.json`, `.gz` allowed).")
    answerer: str = Field(description="The model, as the table shall name it.")
    method: str = Field(description="How frames were chosen, as the table shall name it.")
    budget: Budget = Field(description="Frames the model is said to have seen.")


class Trained(ConfigSection):
    """An M-LLM frame selector that the workflow trains (docs/mllm_selector.md)."""

    selector: SelectorSettings = Field(description="The network.")
    initial: str | None = Field(
        default=None, description="Folder of a trained selector to begin with, in place of fresh weights."
    )
    labels: Name = Field(description="Name of a scorer of kind `pseudo_labels`: what it is trained on.")
    data: tuple[Name, ...] = Field(min_length=1, description="Names of the datasets it is trained on.")
    validation: tuple[Name, ...] = Field(default=(), description="Names of datasets, of other videos, to validate on.")
    instructions: tuple[str, ...] = Field(
        default=(), description="Parquet files of instructions about videos of `data`, for the task `instruction`."
    )
    stages: tuple[AnyStage, ...] = Field(
        default=(FirstStage(), SecondStage()), min_length=1, description="Stages of training, one after the other."
    )
    gpus: int = Field(default=1, ge=1, description="GPUs of a job of training.", json_schema_extra=not_in_spec())


class Demo(ConfigSection):
    """The embedded demo: synthetic worlds."""

    world: DemoWorld = Field(default=DemoWorld(), description="The videos and questions.")
    worlds: dict[Name, DemoWorld] = Field(
        default={},
        description="Further worlds by name, made in results/{name}: each is the `data_dir` of a dataset.",
    )


class Config(ConfigSection):
    """The whole configuration."""

    seed: int = Field(default=0, ge=0, description="Seed of everything that draws random numbers.")
    candidates: CandidateGrid = Field(default=CandidateGrid(), description="Which frames may be chosen at all.")
    decoder: Decoder = Field(
        default="pyav",
        description="What decodes videos for scorers: `pyav`; `decord` or `torchcodec` (the same pixels; the library"
        " must be installed); `nvdec` (on the GPU, pixels differ by rounding).",
    )
    plugins: tuple[str, ...] = Field(
        default=(),
        description="Folders with components of your own (CONTRIBUTING.md), relative to the working folder: a file"
        " `selectors/mine.py` in one of them defines `kind: mine`.",
        json_schema_extra=not_in_spec(),
    )
    max_jobs: int = Field(
        default=2000,
        ge=1,
        description="Jobs that score, embed, select and answer for one table; a table that would take more is refused,"
        " since each is planned anew, and waits in the queue of a cluster for itself.",
    )
    datasets: dict[Name, AnyDataset] = Field(default={}, description="Datasets by name.")
    scorers: dict[Name, AnyScorer] = Field(default={}, description="Scorers by name.")
    encoders: dict[Name, AnyEncoder] = Field(default={}, description="Encoders by name.")
    selectors: dict[Name, AnySelector] = Field(default={}, description="Selectors by name.")
    answerers: dict[Name, AnyAnswerer] = Field(default={}, description="Video LLMs by name.")
    trained: dict[Name, Trained] = Field(
        default={},
        description="Selectors that the workflow trains, by name: a scorer `mllm_selector` uses one as `model:"
        " results/selectors/{name}`.",
    )
    judges: dict[Name, Judge] = Field(default={}, description="Judges of open answers, by name.")
    runs: dict[Name, ImportedRun] = Field(default={}, description="Finished runs of lmms-eval, by name.")
    tables: dict[Name, Table] = Field(default={}, description="Tables by name: results/tables/{name}.csv.")
    demo: Demo = Field(default=Demo(), description="The embedded demo.")


@cache
def config_with(plugins: tuple[tuple[str, type[Component]], ...]) -> type[Config]:
    """The class of configurations that may also name these plug-ins.

    Parameters
    ----------
    plugins : tuple of (str, type)
        Family and class of each.
    """
    fields: dict[str, Any] = {}
    for family in dict.fromkeys(family for family, _ in plugins):
        members = _any_of(family, [cls for of, cls in plugins if of == family])
        fields[family] = (dict[Name, members], copy(Config.model_fields[family]))  # type: ignore[valid-type]
    return create_model("Config", __base__=Config, **fields) if fields else Config
