"""DPSelect on tensors: what the release computes, for each patch and in step, and what it crashes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from framesift.answering.retake.dpselect import choose, distances
from framesift.selection.selectors import dpselect as frames

GOLDEN = np.load(Path(__file__).resolve().parents[1] / "golden" / "dpselect_golden.npz")
CASES = [
    case for case in json.loads(str(GOLDEN["cases"])) if case["key"] is not None and f"{case['key']}__idx" in GOLDEN
]


def tied(case):
    """Equal distances: their order is left to chance by the release."""
    return case["ratio"] < 1 and case["feat"].startswith(("feat__const", "feat__alternating"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_what_the_release_keeps(case):
    change = distances(torch.from_numpy(GOLDEN[case["feat"]]))
    torch.testing.assert_close(
        change, torch.from_numpy(GOLDEN[case["feat"].replace("feat", "dist", 1)]), rtol=0, atol=1e-5
    )
    # the release's own distances, so that no rounding decides
    choice = choose(
        torch.from_numpy(GOLDEN[case["feat"].replace("feat", "dist", 1)]),
        case["ratio"],
        case["window"],
        case["patch_sync"],
    )
    steps, peaks = GOLDEN[f"{case['key']}__idx"], GOLDEN[f"{case['key']}__mask"]
    patches = change.shape[1]
    expected = np.repeat(steps[:, None], patches, axis=1) if steps.ndim == 1 else steps
    assert choice.steps.shape == (case["keep"], patches)
    if not tied(case):
        assert np.array_equal(choice.steps.numpy(), expected)
        assert np.array_equal(
            choice.peaks.numpy().ravel(), np.broadcast_to(peaks.reshape(case["keep"], -1), choice.peaks.shape).ravel()
        )
    else:
        assert int(choice.peaks.sum()) == int(
            np.broadcast_to(peaks.reshape(case["keep"], -1), choice.peaks.shape).sum()
        )


@pytest.mark.parametrize("patch_sync", [False, True])
@pytest.mark.parametrize("shape", [(1, 4, 8), (5, 1, 8), (1, 1, 8)])
def test_one_frame_and_one_patch(shape, patch_sync):
    torch.manual_seed(0)
    features = torch.randn(shape)
    choice = choose(distances(features), 0.6, 3, patch_sync)
    assert choice.steps.shape == (max(1, round(0.6 * shape[0])), shape[1])
    if shape[0] == 1:
        assert choice.peaks.all()
    if shape[1] == 1:
        other = choose(distances(features), 0.6, 3, not patch_sync)
        assert torch.equal(choice.steps, other.steps)


def test_the_frame_wise_form_is_the_selector_of_frames():
    torch.manual_seed(1)
    features = torch.randn(30, 5, 16)
    choice = choose(distances(features), 0.4, 5, patch_sync=True)
    change = frames.distances(features.numpy()).mean(axis=1)
    chosen = frames.most_changed(change, frames.peaks(change, 5), 12)
    assert choice.steps[:, 0].tolist() == sorted(chosen.tolist())


def test_distances_in_pieces_are_those_of_the_whole():
    features = torch.randn(9, 3, 4)
    whole = distances(features)
    assert torch.equal(torch.cat([distances(features[:4]), distances(features[4:], features[3])]), whole)
    assert (whole[0] == 1).all()
