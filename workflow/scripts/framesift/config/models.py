"""The configuration as pydantic models. The schema and the key table of the manual are generated from these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from framesift.components import FAMILIES, implementation, kinds
from framesift.demo.config import DemoTraining, DemoWorld
from framesift.video.decoders import Decoder
from framesift.video.grid import CandidateGrid

if TYPE_CHECKING:
    from framesift.answerers import Answerer as AnyAnswerer
    from framesift.datasets import Dataset as AnyDataset
    from framesift.encoders import Encoder as AnyEncoder
    from framesift.scorers import ScoreSource as AnyScorer
    from framesift.selectors import SelectionSource as AnySelector

#: Names the user gives to configured things; some become parts of file names.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Budget = Annotated[int, Field(ge=1)]


def _any_of(family: str) -> Any:
    """The type "one of the implementations of a family", told apart by `kind`."""
    classes = tuple(implementation(family, kind) for kind in kinds(family))
    if len(classes) == 1:
        return classes[0]
    return Annotated[Union[classes], Field(discriminator="kind")]  # noqa: UP007 (made at run time)


if not TYPE_CHECKING:
    AnyDataset, AnyEncoder, AnyScorer, AnySelector, AnyAnswerer = map(_any_of, FAMILIES)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(Section):
    """One table: every selector with every scorer it needs, at every budget, for every answerer."""

    dataset: Name = Field(description="Name of a dataset.")
    answerers: tuple[Name, ...] = Field(min_length=1, description="Names of the video LLMs that answer.")
    scorers: tuple[Name, ...] = Field(default=(), description="Names of scorers, for the selectors that need scores.")
    encoder: Name | None = Field(
        default=None,
        description="Name of an encoder, or of a scorer that keeps embeddings (`clip`, `siglip`, `blip_itc`), for the"
        " selectors that need embeddings; without it, each scorer's own.",
    )
    selectors: tuple[Name, ...] = Field(min_length=1, description="Names of selectors; the baseline is one of them.")
    budgets: tuple[Budget, ...] = Field(min_length=1, description="Frames the answerer may see.")
    baseline: Name = Field(default="uniform", description="The selector that differences are taken to.")
    protocol: Literal["fair"] = Field(
        default="fair", description="`fair`: every method gives min(budget, candidates) frames, in time order."
    )
    group_by: str | None = Field(
        default=None,
        description="Grouping whose groups get a column of their own: one the dataset has (`duration`, `task_type`)"
        ", or `evidence` where it has annotated evidence.",
    )


class Demo(Section):
    """The embedded demo: a synthetic world and the training of its tiny models."""

    world: DemoWorld = Field(default=DemoWorld(), description="The videos and questions.")
    training: DemoTraining = Field(default=DemoTraining(), description="How `snakemake demo_models` trains.")


class Config(Section):
    """The whole configuration."""

    seed: int = Field(default=0, ge=0, description="Seed of everything that draws random numbers.")
    candidates: CandidateGrid = Field(default=CandidateGrid(), description="Which frames may be chosen at all.")
    decoder: Decoder = Field(
        default="pyav",
        description="What decodes videos for scorers: `pyav`; `decord` or `torchcodec` (the same pixels; the library"
        " must be installed); `nvdec` (on the GPU, pixels differ by rounding).",
    )
    datasets: dict[Name, AnyDataset] = Field(default={}, description="Datasets by name.")
    scorers: dict[Name, AnyScorer] = Field(default={}, description="Scorers by name.")
    encoders: dict[Name, AnyEncoder] = Field(default={}, description="Encoders by name.")
    selectors: dict[Name, AnySelector] = Field(default={}, description="Selectors by name.")
    answerers: dict[Name, AnyAnswerer] = Field(default={}, description="Video LLMs by name.")
    tables: dict[Name, Table] = Field(default={}, description="Tables by name: results/tables/{name}.csv.")
    demo: Demo = Field(default=Demo(), description="The embedded demo.")
