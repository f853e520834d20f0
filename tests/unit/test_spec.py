"""Specs: what is in them, and that equal settings give equal text."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from framesift.core.components import build
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json, not_in_spec, spec_id, spec_of
from framesift.program.read_spec import read_spec

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), plain_values))
def test_key_order_changes_nothing(value):
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert spec_id(value) == spec_id(backwards)


@given(plain_values)
def test_canonical_json_is_json_and_a_fixed_point(value):
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


def test_equal_settings_give_equal_text():
    assert canonical_json({"a": 8.0, "b": (1, 2), "c": Path("x/y"), "d": {3, 1}}) == canonical_json(
        {"d": [1, 3], "c": "x/y", "b": [1, 2], "a": 8}
    )
    assert canonical_json({"a": 1, "b": 2}) != canonical_json({"a": 2, "b": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x"])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        canonical_json({"a": value})


def test_fields_that_change_no_result_stay_out():
    class Inner(BaseModel):
        size: int = 1
        colour: str = Field(default="red", json_schema_extra=not_in_spec())

    class Outer(BaseModel):
        inner: Inner = Inner()
        name: str = Field(default="x", json_schema_extra=not_in_spec())

    assert spec_of(Outer()) == {"inner": {"size": 1}}
    assert (
        build("selectors", {"kind": "aks", "label": "AKS (ours)"}).spec() == build("selectors", {"kind": "aks"}).spec()
    )


def test_specs_of_the_command_line(tmp_path):
    (tmp_path / "spec.json").write_text('{"a": 1}')
    assert read_spec(f"@{tmp_path / 'spec.json'}") == read_spec('{"a": 1}') == {"a": 1}
    for wrong in ("{", "[1]", f"@{tmp_path / 'missing.json'}"):
        with pytest.raises(InputError, match="--spec"):
            read_spec(wrong)
