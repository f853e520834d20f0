"""Components of other packages and folders are members of their family like any other."""

import json
import logging
import sys

import pytest

from framesift.config.document import schema
from framesift.config.load import load_config
from framesift.core.components import FAMILIES, build, implementation, kinds, plugged
from framesift.core.errors import InputError
from framesift.core.plugins import VARIABLE
from framesift.core.versions import versions_of
from framesift.interop.contract import check_class, check_selector
from framesift.papers.methods_text import work_of
from framesift.selection.selectors import methods, select
from recipes import recipe, write_folder, write_package, write_packages

SELECTOR = recipe("selectors")[1]


@pytest.fixture(autouse=True)
def no_folders(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that packages are installed in; those of other folders, which other tests imported, are forgotten."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    for name in [name for name in sys.modules if name.startswith("outside_")]:
        del sys.modules[name]
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path)
    return tmp_path / "my_plugins"


def of(family, kind):
    """A configuration with one component."""
    return {family: {"mine": {"kind": kind, **({"model": "."} if family in ("scorers", "encoders") else {})}}}


def test_a_class_of_each_family_in_a_package_is_a_member(site):
    packed = write_packages(site)
    for family in FAMILIES:
        assert packed[family] in kinds(family)
    config = load_config({key: part for family, kind in packed.items() for key, part in of(family, kind).items()})
    properties = json.loads(schema(plugins=True))["properties"]
    for family, kind in packed.items():
        component = getattr(config, family)["mine"]
        assert component.kind == kind
        assert component.module == f"outside_{family}.component"
        check_class(type(component))
        assert f'"{kind}"' in json.dumps(properties[family])  # among the values of `kind`
        assert work_of(family, {"kind": kind}).title == type(component).title
        with pytest.raises(
            InputError, match=rf"{family}\.mine\.kind: there is no such kind(.|\n)*did you mean '{kind}'"
        ):
            load_config(of(family, kind + "z"))


def test_a_file_in_a_folder_is_a_member(folder):
    config = load_config({"plugins": ["my_plugins"], "selectors": {"far": {"kind": "spaced", "gap": 9}}})
    check_selector(config.selectors["far"])
    assert "spaced" in methods()
    assert select("spaced", scores=[3, 2, 1], budget=2).tolist() == [0, 2]
    for family, kind in (("scorers", "prompted_clip"), ("datasets", "clips"), ("answerers", "first_option")):
        assert load_config({"plugins": ["my_plugins"], **of(family, kind)})
    with pytest.raises(InputError, match=r"selectors\.far\.gapp: there is no such key(.|\n)*did you mean 'gap'"):
        load_config({"plugins": ["my_plugins"], "selectors": {"far": {"kind": "spaced", "gapp": 9}}})
    load_config({})
    assert "spaced" not in kinds("selectors")  # folders are those of the last configuration


def test_files_of_a_folder_import_each_other(folder):
    (folder / "selectors" / "_gap.py").write_text("GAP = 5.0\n")
    text = SELECTOR.replace("from framesift.sel", "from ._gap import GAP\nfrom framesift.sel", 1)
    (folder / "selectors" / "spaced.py").write_text(text.replace("default=2.0", "default=GAP"))
    assert load_config({"plugins": ["my_plugins"], **of("selectors", "spaced")}).selectors["mine"].gap == 5
    assert "_gap" not in kinds("selectors")


def test_only_what_is_named_is_imported(site, folder):
    write_package(site, "selectors", "loud", "raise SystemExit('imported')")
    (folder / "selectors" / "louder.py").write_text("raise SystemExit('imported')")
    load_config({"plugins": ["my_plugins"], **of("selectors", "spaced")})
    assert {"loud", "louder", "spaced"} <= set(kinds("selectors"))
    assert "outside_selectors" not in sys.modules


def test_a_version_identifies_a_plugin_and_without_one_its_code_does(site, folder):
    write_packages(site)
    load_config({"plugins": ["my_plugins"]})
    scorer = build("scorers", {"kind": "prompted_clip", "model": "."})
    assert versions_of(scorer) == {"prompted_clip": 1}
    encoder = build("encoders", {"kind": "packed_colour", "model": "."})
    [(_, before)] = versions_of(encoder).items()
    assert before.startswith("code:")
    file = site / "outside_encoders" / "component.py"
    file.write_text(file.read_text().replace("+ 3", "+ 4"))
    assert versions_of(encoder) != {"packed_colour": before}


BROKEN = {
    "raise ImportError('no such library')": "cannot be imported: ImportError: no such library",
    "import not_installed_at_all": "cannot be imported: ModuleNotFoundError: No module named 'not_installed_at_all'",
    "x = ": "cannot be imported: SyntaxError",
    "": "must define exactly one component, not none",
    SELECTOR + "\n\nclass Other(Spaced):\n    pass\n": "must define exactly one component, not Spaced, Other",
    SELECTOR.replace("def select(", "def choose("): "does not define all methods: Spaced has no select(.|\n)*"
    r"expected: select\(self, candidates",
    SELECTOR.replace('"spaced"', '"another"'): "has another kind than its name: Spaced.kind is 'another'(.|\n)*"
    'expected: kind: Literal."spaced"',
    SELECTOR.replace("gap: float", "gap: np.ndarray"): "cannot be imported: PydanticSchemaGenerationError",
    recipe("datasets")[1].replace('"clips"', '"spaced"'): "is not one of the selectors: found Clips(.|\n)*"
    r"expected: a subclass of framesift\.selection\.selectors\.Selector",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: BROKEN[text][:40])
def test_a_broken_plugin_is_an_error_for_those_who_name_it(text, site, caplog):
    file = write_package(site, "selectors", "spaced", text)
    with pytest.raises(InputError, match=BROKEN[text]) as raised:
        load_config(of("selectors", "spaced"))
    assert str(raised.value).startswith(f"{file}: plug-in 'spaced' of package outside_selectors 1.0 ")
    assert load_config(of("selectors", "topk")).selectors["mine"].kind == "topk"
    with caplog.at_level(logging.WARNING, "framesift"):
        assert plugged("selectors") == []
        assert "topk" in methods()
    assert str(file) in caplog.text


def test_a_kind_that_two_define_is_an_error_for_those_who_name_it(site, folder):
    first = write_package(site, "selectors", "spaced", SELECTOR)
    load_config({"plugins": ["my_plugins"], **of("selectors", "aks")})
    with pytest.raises(InputError, match="'spaced' is defined by package outside_selectors") as raised:
        load_config({"plugins": ["my_plugins"], **of("selectors", "spaced")})
    assert str(first) in str(raised.value)
    assert str(folder / "selectors" / "spaced.py") in str(raised.value)


def test_a_kind_of_framesift_cannot_be_taken(site):
    file = write_package(site, "selectors", "topk", SELECTOR.replace('"spaced"', '"topk"'))
    with pytest.raises(InputError, match="'topk' is defined by Framesift and by package outside_selectors") as raised:
        load_config(of("selectors", "topk"))
    assert str(file) in str(raised.value)
    assert load_config(of("selectors", "aks")).selectors["mine"].kind == "aks"
    assert implementation("selectors", "uniform")


def test_scorers_and_encoders_have_one_set_of_names(site):
    write_package(site, "encoders", "clip", recipe("encoders")[1].replace('"colour"', '"clip"'))
    with pytest.raises(InputError, match="'clip' is defined by Framesift and by package outside_encoders"):
        load_config(of("encoders", "clip"))


def test_a_name_that_cannot_be_part_of_a_file_name_is_refused(site):
    write_package(site, "selectors", "My-Method", SELECTOR)
    with pytest.raises(InputError, match="has a name that cannot be a kind"):
        implementation("selectors", "My-Method")


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("plugins: [nowhere]\n")
    with pytest.raises(InputError, match=r"c\.yaml: plugins\[0\]: there is no such folder(.|\n)*'nowhere'"):
        load_config({"plugins": ["nowhere"]}, ["c.yaml"])
    with pytest.raises(InputError, match="plugins: is not usable"):
        load_config({"plugins": "nowhere"})
