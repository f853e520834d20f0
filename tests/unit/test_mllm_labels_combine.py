"""From what was labelled to targets: scaled, averaged, interpolated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framesift.scoring.mllm_selector.label_settings import Peaks
from framesift.training.labels import combine


def test_spatial_labels_are_scaled_to_the_whole_range():
    np.testing.assert_allclose(combine.min_max(np.array([0.2, 0.4, 0.6])), [0, 0.5, 1])
    np.testing.assert_allclose(combine.min_max(np.array([-5.0, 5.0])), [0, 1])


def test_labels_that_are_all_equal_say_nothing():
    np.testing.assert_array_equal(combine.min_max(np.full(4, 0.9)), np.full(4, 0.5))
    np.testing.assert_array_equal(combine.min_max(np.array([0.9])), [0.5])


def test_a_frame_without_a_verdict_is_like_its_neighbours():
    np.testing.assert_allclose(combine.min_max(np.array([0.0, np.nan, 1.0, np.inf])), [0, 0.5, 1, 1])


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=1, max_size=20))
def test_scaled_labels_lie_between_0_and_1_and_keep_their_order(values):
    scaled = combine.min_max(np.array(values))
    assert np.isfinite(scaled).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1
    assert (np.diff(scaled[np.argsort(values, kind="stable")]) >= 0).all()


def test_the_average_is_weighted():
    spatial, temporal = np.array([0.0, 0.5, 1.0]), combine.marked([1], 3)
    np.testing.assert_allclose(combine.average(spatial, temporal, 0.5), [0, 0.75, 0.5])
    np.testing.assert_allclose(combine.average(spatial, temporal, 0.2), [0, 0.6, 0.8])


def test_one_label_alone_stands_as_it_is():
    spatial = np.array([0.0, 0.5, 1.0])
    np.testing.assert_array_equal(combine.average(spatial, None, 0.5), spatial)
    np.testing.assert_array_equal(combine.average(None, combine.marked([0, 2], 3), 0.5), [1, 0, 1])


@pytest.mark.parametrize(
    ("candidates", "n", "n_label", "expected"),
    [
        (8, 8, None, [0, 1, 2, 3, 4, 5, 6, 7]),
        (9, 5, None, [0, 2, 4, 6, 8]),
        (3, 8, None, [0, 1, 2]),
        (9, 5, 3, [0, 4, 8]),
        (3, 8, 2, [0, 2]),
        (3, 8, 5, [0, 1, 2]),
        (1, 8, 4, [0]),
    ],
)
def test_what_is_labelled_is_some_of_what_the_selector_sees(candidates, n, n_label, expected):
    assert combine.labelled_positions(candidates, n, n_label).tolist() == expected


def test_frames_between_labelled_ones_are_interpolated():
    labels = combine.interpolated(np.array([0.0, 1.0, 0.5]), np.array([0, 4, 8]), np.arange(9))
    np.testing.assert_allclose(labels, [0, 0.25, 0.5, 0.75, 1, 0.875, 0.75, 0.625, 0.5])


def test_a_peak_reaches_down_to_half_of_its_prominence():
    curve = np.array([0, 0, 0.4, 1, 0.6, 0, 0.1, 0, 0, 0.8, 0.8, 0])
    np.testing.assert_array_equal(combine.peaks(curve, Peaks()), [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0])


def test_a_peak_may_stand_at_an_end_and_a_flat_curve_has_none():
    np.testing.assert_array_equal(combine.peaks(np.array([1, 0, 0, 0.9]), Peaks()), [1, 0, 0, 1])
    np.testing.assert_array_equal(combine.peaks(np.full(5, 0.5), Peaks()), np.zeros(5))


def test_less_prominence_names_more():
    curve = np.array([0, 1, 0, 0.3, 0])
    np.testing.assert_array_equal(combine.peaks(curve, Peaks(prominence=0.5)), [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(combine.peaks(curve, Peaks(prominence=0.2)), [0, 1, 0, 1, 0])
