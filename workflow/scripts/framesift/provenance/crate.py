"""A finished table as an RO-Crate: tables, manifest and settings, with references to data, models and code.

RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) with the profile Process Run Crate 0.5
(https://w3id.org/ro/wfrun/process/0.5): one action that took datasets, models and settings and gave the tables.
Neither videos nor weights are in it; they are named by repository and commit, or by their digests.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from framesift.core.errors import InputError
from framesift.provenance.manifest import make_manifest, manifest_path, read_manifest, without_places
from framesift.storage.files import atomic_write, write_json, write_text

VERSION = "1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
HUB = "https://huggingface.co"
#: Licence of the tables, unless another is named: that of the project.
LICENSE = "Apache-2.0"
_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_KEPT_ELSEWHERE = "Not in this crate, and under the terms of its publisher."


def export_crate(
    table: str,
    root: Path,
    out: Path,
    configfiles: Sequence[Path] = (),
    license: str = LICENSE,
    author: str | None = None,
) -> None:
    """Write the crate of a table.

    Parameters
    ----------
    table : str
        Name of a finished table.
    root : path
        Folder of the project.
    out : path
        A folder to make, or a file that ends in ``.zip``.
    configfiles : sequence of path
        Configuration files to put in beside ``config/config.yaml``. Paths in them that lead out of the project are
        replaced by names.
    license : str
        SPDX name of the licence that the tables are given away under.
    author : str, optional
        Who made the run.

    Raises
    ------
    InputError
        Where the table is not there, or `out` is a folder that holds something.
    """
    if out.suffix != ".zip" and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already", file=out, field="--out", expected="a new folder, or a file ending in .zip")
    noted = root / manifest_path(table)
    manifest = read_manifest(noted) if noted.is_file() else make_manifest(table, root)
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder)
        write_json(staged / "manifest.json", manifest)
        crate = _crate(manifest, root, staged, configfiles, license, author)
        if out.suffix == ".zip":
            with atomic_write(out) as temporary:
                crate.write_zip(temporary)
        else:
            crate.write(out)


def _crate(
    manifest: Mapping[str, Any],
    root: Path,
    staged: Path,
    configfiles: Sequence[Path],
    license: str,
    author: str | None,
) -> Any:
    from rocrate.model.contextentity import ContextEntity  # type: ignore[import-untyped]
    from rocrate.rocrate import ROCrate  # type: ignore[import-untyped]

    name = manifest["table"]
    crate = ROCrate(version=VERSION)
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"

    def entity(identifier: str, /, **properties: Any) -> Any:
        known = {key: value for key, value in properties.items() if value is not None}
        return crate.add(ContextEntity(crate, identifier, properties={"@type": known.pop("type"), **known}))

    def file(source: Path, place: str, **properties: Any) -> Any:
        media = {"encodingFormat": _TYPES.get(source.suffix, "text/plain")}
        return crate.add_file(source, place, properties=media | properties, record_size=True)

    def given(spdx: str) -> Any:
        link = f"https://spdx.org/licenses/{spdx}"
        return crate.dereference(link) or entity(link, type="CreativeWork", name=spdx, identifier=spdx)

    crate.name = f"Framesift: the table {name}"
    crate.description = (
        f"Accuracies of {len(manifest['rows'])} combinations of video LLM, frame selection and budget, with the "
        "manifest that leads from each row to the data, models, settings and code it was made from."
    )
    crate.datePublished = manifest["made"]["time"]
    crate.license = given(license)
    profile = entity(PROFILE, type="CreativeWork", name="Process Run Crate", version="0.5")
    crate.root_dataset["conformsTo"] = profile
    if author:
        crate.root_dataset["author"] = entity("#author", type="Person", name=author)

    software = _software(manifest, entity, given(LICENSE))
    inputs = [*_datasets(manifest, crate, entity), *_models(manifest, entity)]
    settings = [
        file(_written(staged / place, text), place, name=f"Settings: {place}")
        for place, text in _settings(manifest, root, configfiles)
    ]
    results = [
        file(root / path, path, name=f"{PurePosixPath(path).name}, columns in docs/tables.md", sha256=digest)
        for path, digest in manifest["tables"].items()
    ]
    whole_manifest = file(
        staged / "manifest.json", manifest_path(name), name="What every row was made from", about=results
    )
    started = min((step["started"] for step in manifest["made"]["steps"].values() if step["started"]), default=None)
    action = crate.add_action(
        software,
        identifier=f"#run-{name}",
        object=[*inputs, *settings],
        result=[*results, whole_manifest],
        properties={
            "name": f"Making the table {name}",
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "description": _machine(manifest["made"]["machine"]),
            "endTime": manifest["made"]["time"],
            **({"startTime": started} if started else {}),
        },
    )
    if author:
        action["agent"] = crate.dereference("#author")
    crate.root_dataset["mentions"] = action
    return crate


def _software(manifest: Mapping[str, Any], entity: Any, license: Any) -> Any:
    software = manifest["software"]
    git = software["git"]
    state = "Commit not known: the files were no checkout of git."
    if git:
        changed = f", with changes in {', '.join(git['changed'])}" if git["dirty"] else ", unchanged"
        state = f"Commit {git['commit']}{changed}."
    versions: dict[str, str] = {}
    for item in manifest["files"].values():
        versions |= item.get("versions") or {}
    return entity(
        "#framesift",
        type=["SoftwareApplication", "SoftwareSourceCode"],
        name="Framesift",
        version=software["framesift"],
        softwareVersion=git["commit"] if git else None,
        description=state,
        license=license,
        runtimePlatform=f"Python {software['python']}",
        softwareRequirements=[f"{package}=={version}" for package, version in sorted(versions.items())] or None,
    )


def _datasets(manifest: Mapping[str, Any], crate: Any, entity: Any) -> list[Any]:
    found = []
    for name, dataset in manifest["datasets"].items():
        if dataset.get("repo"):
            revision = dataset["revision"]
            link = f"{HUB}/datasets/{dataset['repo']}/tree/{revision or 'main'}"
            properties = {"name": dataset["repo"], "version": revision or "not known", "description": _KEPT_ELSEWHERE}
            found.append(crate.add_dataset(link, properties=properties))
        else:
            digests = f"{len(manifest['videos'])} videos; their digests and that of the labels stand in the manifest"
            found.append(
                entity(
                    f"#dataset-{name}",
                    type="CreativeWork",
                    name=f"{name} ({dataset['kind']})" if dataset["kind"] else name,
                    description=f"{digests}. {_KEPT_ELSEWHERE}",
                )
            )
    return found


def _models(manifest: Mapping[str, Any], entity: Any) -> list[Any]:
    """Each checkpoint once, whatever the rows it stands in."""
    found: dict[str, Any] = {}
    for row in manifest["rows"].values():
        for role, model in row["models"].items():
            revision, weights = model.get("revision"), model.get("weights")
            link = f"{HUB}/{model['model']}/tree/{revision}" if revision else f"#model-{model['model']}"
            if link not in found:
                found[link] = entity(
                    link,
                    type="CreativeWork",
                    name=model["model"],
                    additionalType="model checkpoint",
                    version=revision,
                    sha256=weights,
                    description=f"The {role}, of the kind {model['kind']}. {_KEPT_ELSEWHERE}",
                )
    return list(found.values())


def _settings(manifest: Mapping[str, Any], root: Path, configfiles: Sequence[Path]) -> list[tuple[str, str]]:
    """Places and texts: the slice of the configuration that the table depends on, and whole configuration files."""
    rows = {name: row["configuration"] for name, row in manifest["rows"].items()}
    used = {"table": manifest["configuration"], "rows": rows}
    found = [("config/used.json", json.dumps(used, indent=1, ensure_ascii=False) + "\n")]
    for path in (root / "config/config.yaml", *configfiles):
        if path.is_file():
            found.append((f"config/{path.name}", _without_places(path)))
    return list(dict(found).items())


def _without_places(path: Path) -> str:
    """A configuration file; where it has paths that lead out of the project, without them and its comments."""
    import yaml

    text = path.read_text(encoding="utf-8")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError("is not YAML", file=path) from None
    told = without_places(content)
    same = told == content and "/home/" not in text and "/Users/" not in text
    return text if same else yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _machine(machine: Mapping[str, Any]) -> str:
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return f"{machine['system']}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {gpus}"


def _written(path: Path, text: str) -> Path:
    write_text(path, text)
    return path
