"""Selections that others published, instead of choosing."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from framesift.selection.selectors import SelectionSource


class Imported(SelectionSource):
    """The selection in a file, matched by the ids of the labels it was made from.

    Frames are checked against the videos that are here. A budget that is smaller than a question's frames is an error.
    """

    needs_scores: ClassVar[bool] = False

    kind: Literal["imported"] = "imported"
    format: Literal["aks", "wfs_sb", "kfs_bench"] = Field(description="Whose layout the file has.")
    selection: str = Field(description="The file, plain or .json.gz.")
    original: str = Field(description="The label file in whose order or with whose ids it was made.")

    @property
    def fair(self) -> bool:
        """What is in the file is taken as it is."""
        return False
