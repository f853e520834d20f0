"""Declared versions: what identifies a result that took a GPU, besides its spec, its weights and its video.

A score or an answer stays what it is when a message is reworded, a file renamed or a loop made faster, and with every
new release of Framesift. So costly results do not follow the text of the program. Each stage that makes them has a
number here, and each component that takes part has one of its own (`Component.version`). **Raise a number when the
output changes for the same input**, and only then: everything that was made under the old number is computed again.

`tests/unit/test_versions.py` keeps the numbers honest. It holds recorded outputs of every stage and component, and
names the number to raise when one of them changes.
"""

from __future__ import annotations

from typing import Any, Literal

from framesift.core.code_digest import code_digest
from framesift.core.components import Component

#: What the parameter with the digest of weights in folders begins with, so that records of Snakemake show which it is.
WEIGHTS = "weights:"

Stage = Literal["decoding", "scoring", "labelling", "training", "answering"]

#: The stages whose output takes a GPU, each with its version.
STAGES: dict[Stage, int] = {
    "decoding": 1,  # from a video file to the pixels of a frame
    "scoring": 1,  # from pixels to the pictures of a model; from its features to the scores of all candidates
    "labelling": 1,  # from frames and captions to pseudo-labels
    "training": 1,  # from pseudo-labels to a trained selector
    "answering": 1,  # from a question and frames to a request, and from a reply to an answer
}


def versions_of(*parts: Stage | Component) -> dict[str, Any]:
    """The versions of stages and components, by their names.

    Parameters
    ----------
    parts : str or Component
        Names of stages, and the components that take part.

    Returns
    -------
    dict
        A number for each part. A component that declares no version, such as one outside of Framesift, has the digest
        of its code instead, as ``code:0123456789ab``.

    Examples
    --------
    >>> versions_of("decoding", "scoring")
    {'decoding': 1, 'scoring': 1}
    """
    return {part if isinstance(part, str) else part.kind: _version(part) for part in parts}


def _version(part: Stage | Component) -> int | str:
    if isinstance(part, str):
        return STAGES[part]
    declared = type(part).version
    return declared if declared is not None else f"code:{code_digest(part.module)}"
