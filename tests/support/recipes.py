"""The recipes of CONTRIBUTING.md as files, and packages that hold the same components under other names."""

from __future__ import annotations

import re
from pathlib import Path

from framesift.core.components import FAMILIES
from project import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
#: The files of the recipes by their paths.
FILES = {
    head[1]: text
    for text in re.findall(r"```(?:python|yaml)\n(.*?)```", GUIDE, flags=re.DOTALL)
    if (head := re.match(r"# (\S+)\n", text))
}
#: The commands that check them.
CHECKS = re.findall(r"^framesift check-component (.*)$", GUIDE, flags=re.MULTILINE)
ENCODER = '''
"""Mean colours, for want of a model."""

from typing import Any, Literal

from framesift.checkpoints.component import pretrained
from framesift.scoring.encoders import Encoder, unit_length
from framesift.video.pictures import Pictures


class Colour(Encoder):
    """The mean colour of a frame."""

    title = "mean colour"

    kind: Literal["colour"] = "colour"

    def load(self, device: str) -> Any:
        from transformers import AutoProcessor

        return pretrained(AutoProcessor, self.model, self.revision)

    def pictures(self, loaded: Any) -> Pictures:
        return Pictures.of(loaded.image_processor)

    def features(self, loaded: Any, pixels: Any) -> Any:
        return unit_length(pixels.mean(dim=(2, 3)) + 3)
'''


def recipe(family: str) -> tuple[str, str]:
    """Kind and text of the recipe of a family; for encoders, of a component that is written here."""
    if family == "encoders":
        return "colour", ENCODER
    [(path, text)] = [(path, text) for path, text in FILES.items() if path.split("/")[-2:-1] == [family]]
    return Path(path).stem, text


def write_folder(folder: Path) -> None:
    """The files of the recipes in a working folder."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def write_package(site: Path, family: str, kind: str, text: str, name: str | None = None) -> Path:
    """An installed package with one component, as pip leaves it in `site`; the component's file."""
    name = name or f"outside_{family}"
    module = site / name / "component.py"
    module.parent.mkdir(parents=True)
    (module.parent / "__init__.py").touch()
    module.write_text(text)
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[framesift.{family}]\n{kind} = {name}.component\n")
    return module


def write_packages(site: Path) -> dict[str, str]:
    """One package a family; the kinds are those of the recipes with ``packed_`` before them."""
    kinds = {}
    for family in FAMILIES:
        kind, text = recipe(family)
        kinds[family] = f"packed_{kind}"
        write_package(site, family, kinds[family], text.replace(f'"{kind}"', f'"packed_{kind}"'))
    return kinds
