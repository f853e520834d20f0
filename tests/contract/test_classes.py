"""What every component's class says of itself, whichever family it is in; plug-ins that are installed here too."""

import subprocess
import sys

import pytest

from framesift.core.code_digest import SCRIPTS
from framesift.core.components import FAMILIES, implementation, kinds, own
from framesift.interop.contract import check_class

MEMBERS = [(family, kind) for family in FAMILIES for kind in kinds(family)]
#: Each component is imported in turn; the first that brings a heavy library along is named.
IMPORTS = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
    if heavy := {"torch", "transformers", "lmms_eval", "av", "pandas", "matplotlib"} & set(sys.modules):
        sys.exit(f"{module} imports {heavy}")
"""


@pytest.mark.parametrize(("family", "kind"), MEMBERS)
def test_a_class_says_what_it_is(family, kind):
    check_class(implementation(family, kind))


def test_importing_components_is_cheap():
    modules = [implementation(family, kind).__module__ for family, kind in MEMBERS]
    done = subprocess.run([sys.executable, "-c", IMPORTS, *modules], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("family", ["scorers", "encoders", "answerers"])
def test_what_takes_a_gpu_declares_a_version(family):
    """Without one, every edit of its code would throw away what it made."""
    assert [cls.__name__ for cls in own(family) if cls.version is None] == []


def test_a_component_that_builds_on_another_has_its_own_title_and_version():
    from framesift.scoring.scorers.clip import Clip

    class Mine(Clip):
        """Another scorer."""

    assert (Clip.title, Clip.version) == ("CLIP", 1)
    assert (Mine.title, Mine.version) == ("", None)
    assert Mine.cites == Clip.cites


def test_scorers_and_encoders_share_no_kind():
    assert not set(kinds("scorers")) & set(kinds("encoders"))
