"""The configuration: each mistake gives one message with file, key, value, what was expected, and a hint."""

import copy
from pathlib import Path

import pytest
import yaml

from framesift.config.document import schema, with_key_tables
from framesift.config.load import load_config, read_config
from framesift.core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "config" / "config.yaml"


@pytest.fixture
def raw(monkeypatch):
    monkeypatch.chdir(ROOT)
    return copy.deepcopy(yaml.safe_load(DEFAULT.read_text()))


def put(raw, path, value):
    *parents, last = path.split(".")
    for key in parents:
        raw = raw[key]
    if value is None:
        del raw[last]
    else:
        raw[last] = value


def test_the_default_configuration_is_right(raw):
    config = load_config(raw, [DEFAULT])
    assert config.tables["demo"].budgets


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("scorrers", {}, "scorrers: there is no such key|hint: did you mean 'scorers'?"),
        ("seed", -1, "seed: is not usable|found: -1|expected: greater than or equal to 0"),
        ("seed", "one", "seed: is not usable|found: 'one'|expected: a valid integer"),
        ("scorers", ["clip"], "scorers: is not usable|found: ['clip']|expected: a valid dictionary"),
        ("scorers.clip.batchsize", 3, "scorers.clip.batchsize: there is no such key|did you mean 'batch_size'?"),
        ("scorers.clip.kind", "clp", "scorers.clip.kind: there is no such kind|found: 'clp'|did you mean 'clip'?"),
        ("scorers.clip.kind", None, "scorers.clip.kind: is required|expected: one of |blip_itc, blip_itm|siglip"),
        ("scorers.clip.model", None, "scorers.clip.model: is required"),
        ("scorers.clip.revision", "main", "scorers.clip.revision: checkpoint 'openai/|40 hexadecimal digits"),
        ("scorers.clip.revision", None, "scorers.clip.revision: checkpoint 'openai/|40 hexadecimal digits"),
        ("scorers.demo_clip.revision", "0" * 40, "scorers.demo_clip.revision: a folder has no revision"),
        ("selectors.aks.s_thr", "big", "selectors.aks.s_thr: is not usable|found: 'big'|expected: a valid number"),
        (
            "selectors.aks.t3",
            0.8,
            "selectors.aks.t3: there is no such key|one of kind, label, variant, s_thr",
        ),
        ("selectors.Mine", {"kind": "topk"}, "selectors.Mine: is not usable|'^[a-z0-9]"),
        ("tables.demo.budgets", [0], "tables.demo.budgets[0]: is not usable|found: 0|greater than or equal to 1"),
        ("tables.demo.selectors", ["unifrom"], "tables.demo.selectors[0]: there is no selector|mean 'uniform'?"),
        ("tables.demo.dataset", "dmo", "tables.demo.dataset: there is no dataset|found: 'dmo'|mean 'demo'?"),
        ("tables.demo.baseline", "topq", "tables.demo.baseline: the baseline is not among|did you mean 'topk'?"),
        ("tables.demo.protocol", "Fair", "tables.demo.protocol: is not a possible value|did you mean 'fair'?"),
        ("tables.demo.scorers", [], "tables.demo.scorers: selector 'topk' needs scores|at least one of demo_clip"),
        ("candidates.rule", "indx", "candidates.rule: is not a possible value|did you mean 'index'?"),
        ("demo", {"world": {"fps": 0}}, "demo.world.fps: is not usable|found: 0"),
        ("answerers.demo_vlm.kind", "llava", "answerers.demo_vlm.kind: there is no such kind|found: 'llava'"),
    ],
)
def test_mistakes(raw, path, value, message):
    put(raw, path, value)
    with pytest.raises(InputError) as caught:
        load_config(raw, [DEFAULT])
    text = str(caught.value)
    assert text.startswith(f"{DEFAULT}: ")
    for part in message.split("|"):
        assert part in text


def test_the_file_named_is_the_one_with_the_mistake(raw, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("selectors: {aks: {s_thr: high}}\n")
    with pytest.raises(InputError, match=r"mine\.yaml: selectors\.aks\.s_thr"):
        read_config(DEFAULT, mine)
    mine.write_text("selectors: {aks: {s_thr: 0.2}}\n")
    assert read_config(DEFAULT, mine).selectors["aks"].s_thr == 0.2
    mine.write_text("a: [")
    with pytest.raises(InputError, match=r"mine\.yaml: is not YAML"):
        read_config(DEFAULT, mine)


def test_the_generated_documentation_is_up_to_date():
    manual = ROOT / "config" / "README.md"
    assert manual.read_text() == with_key_tables(manual.read_text()), "run `make docs`"
    assert (ROOT / "config" / "schema.json").read_text() == schema(), "run `make docs`"


def test_every_key_is_explained():
    """A field without a description would be an empty cell of the manual."""
    tables = with_key_tables((ROOT / "config" / "README.md").read_text())
    rows = [line for line in tables.splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert not [row for row in rows if row.split("|")[4].strip() == ""]
