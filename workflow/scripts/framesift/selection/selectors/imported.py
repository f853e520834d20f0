"""Selections that others published, instead of choosing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from framesift.core.components import Work
from framesift.selection.selectors import SelectionSource

#: Title and works of the selections in each layout.
PUBLISHED = {
    "aks": Work("the published selections of AKS", ("tang2025aks",)),
    "wfs_sb": Work("the published selections of WFS-SB", ("chen2026wfssb",)),
    "kfs_bench": Work("the published selections of KFS-Bench", ("li2026kfsbench",)),
}


class Imported(SelectionSource):
    """The selection in a file, matched by the ids of the labels it was made from.

    Frames are checked against the videos that are here. A budget that is smaller than a question's frames is an error.
    """

    title = "published selections"
    needs_scores: ClassVar[bool] = False

    kind: Literal["imported"] = "imported"
    format: Literal["aks", "wfs_sb", "kfs_bench"] = Field(description="Whose layout the file has.")
    selection: str = Field(description="The file, plain or .json.gz.")
    original: str = Field(description="The label file in whose order or with whose ids it was made.")

    @classmethod
    def work(cls, spec: Mapping[str, Any]) -> Work:
        return PUBLISHED.get(str(spec.get("format"))) or super().work(spec)

    @property
    def fair(self) -> bool:
        """What is in the file is taken as it is."""
        return False
