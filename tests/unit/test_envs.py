"""The environments of the rules: what they hold is what the programs import, at the versions of the locks."""

import re
import sys

import pytest

from conda_envs import ENVS, NAMES, NEVER_CALLED, EnvFile, distribution, envs_of, rules, third_party
from framesift.core.components import FAMILIES
from project import ROOT

sys.path.insert(0, str(ENVS))

import container
from pin import LINE, repinned

#: Modules whose distribution is not called as they are.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "hf_xet": "huggingface-hub",  # brings it, where it has wheels
    "lavis": "salesforce-lavis",
    "PIL": "pillow",
    "pydantic_core": "pydantic",
}

#: Packages that nothing here imports, but a library which is imported without declaring it.
UNDECLARED = {
    "torchvision": {"evaluate", "features", "lavis", "llava", "train"},  # transformers and llava, for pictures
    "decord": {"evaluate", "llava"},  # lmms-eval
    "decord2": {"evaluate", "features", "llava"},  # the same module, where decord has no wheel
}

NOT_OF_PYPI = {"python", "pip", "git"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins_of_lock(file: EnvFile) -> set[str]:
    return {pin.removesuffix(" ; python_full_version < '3.12'") for pin in file.lock.read_text().splitlines()}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_every_rule_has_an_environment(rule):
    assert rule.envs, "it has no `conda:`"
    assert rule.envs <= set(NAMES)


def test_every_environment_is_of_some_rule():
    assert {env for rule in rules() for env in rule.envs} == set(NAMES)
    assert {env for family in FAMILIES for env in envs_of(family)} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_version_is_exact_and_that_of_the_lock(name):
    file = EnvFile.of(name)
    assert file.content["channels"] == ["conda-forge", "nodefaults"]
    assert "python=3.11" in file.conda
    assert {requirement.split("=")[0] for requirement in file.conda} <= NOT_OF_PYPI
    locked = pins_of_lock(file)
    versions = {pin.split(" ; ")[0] for pin in locked}
    for pin in file.pip:
        if " @ git+" in pin:
            assert re.search(r"@[0-9a-f]{40}$", pin), "a repository is pinned by its commit"
        else:
            assert re.match(r"[A-Za-z0-9._-]+==[^ =<>~!*]+( ; .+)?$", pin), pin
            assert pin.split(" ; ")[0].lower() in versions
    names = [distribution(pin) for pin in file.pip]
    assert len(names) == len(set(names)), "nothing is named twice"


@pytest.mark.parametrize("name", NAMES)
def test_all_that_its_programs_can_import_is_named(name):
    named = {canonical(distribution(pin)) for pin in EnvFile.of(name).imported}
    imported = {module for module in third_party(name) if name not in NEVER_CALLED.get(module, {})}
    lacking = {module for module in imported if canonical(DISTRIBUTIONS.get(module, module)) not in named}
    assert not lacking


@pytest.mark.parametrize("name", NAMES)
def test_all_that_it_names_is_imported(name):
    imported = {canonical(DISTRIBUTIONS.get(module, module)) for module in third_party(name)}
    named = {distribution(pin) for pin in EnvFile.of(name).imported}
    unused = {package for package in named - imported if name not in UNDECLARED.get(package, set())}
    assert not unused


def test_the_exceptions_are_needed():
    """An exception that has become the rule is taken off the lists above."""
    for module, envs in NEVER_CALLED.items():
        for env in envs:
            assert module in third_party(env), (module, env)
    for package, envs in UNDECLARED.items():
        for env in envs:
            file = EnvFile.of(env)
            assert package in {distribution(pin) for pin in file.imported}, (package, env)
            assert package not in {canonical(DISTRIBUTIONS.get(module, module)) for module in third_party(env)}


def test_an_environment_that_lacks_a_package_is_found(monkeypatch):
    """The check above, of an env file with one package removed and one added."""
    text = EnvFile.of("select").text
    assert "      - safetensors==" in text
    changed = re.sub(r"- safetensors==", "- scipy==", text)
    monkeypatch.setattr(EnvFile, "of", classmethod(lambda cls, name: cls(name, changed)))
    with pytest.raises(AssertionError, match="safetensors"):
        test_all_that_its_programs_can_import_is_named("select")
    with pytest.raises(AssertionError, match="scipy"):
        test_all_that_it_names_is_imported("select")


@pytest.mark.parametrize("name", container.WRITTEN)
def test_the_definitions_of_the_container_are_those_of_this_lock(name):
    assert (ENVS / name).read_text() == container.WRITTEN[name](), "run `python envs/container.py`"


def test_the_container_is_made_from_an_exact_image_and_runs_as_an_ordinary_user():
    lines = container.dockerfile().splitlines()
    assert sum(bool(re.fullmatch(r"FROM python:3\.11\.\d+-slim-bookworm", line)) for line in lines) == 1
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]
    copied = [line.split()[1] for line in lines if line.startswith("COPY ")]
    assert copied == list(container.FILES)
    assert all((ROOT / file).is_file() for file in copied)


def test_pins_are_written_from_the_lock(tmp_path, monkeypatch):
    """Names and markers of an env file stay; versions and what the packages need come from the lock."""
    lock = tmp_path / "demo.lock"
    lock.write_text("numpy==2.4.6 ; python_full_version < '3.12'\nnumpy==2.5.5 ; python_full_version >= '3.12'\n"
                    "decord==0.6.0 ; sys_platform == 'linux'\n")  # fmt: skip
    monkeypatch.setattr("pin.needed", lambda requirements, lock: ["decord==0.6.0", "more==1", "numpy==2.4.6"])
    text = "# words\n      - numpy==1\n      - decord==0.1 ; sys_platform == 'linux'\n      - x @ git+https://h/x@1\n"
    above = "# words\n      - numpy==2.4.6\n      - decord==0.6.0 ; sys_platform == 'linux'\n      - x @ git+https://h/x@1\n"
    renewed = repinned(text, lock)
    assert renewed == f"{above}{LINE}\n      - more==1\n"
    assert repinned(renewed, lock) == renewed
    with pytest.raises(KeyError, match="scipy"):
        repinned("      - scipy==1\n", lock)
