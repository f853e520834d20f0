"""From the merged YAML to a checked `Config`; each mistake becomes one message that says where and what instead."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from framesift.config.models import Config, config_with
from framesift.core.components import FAMILIES, Component, implementation, kinds
from framesift.core.errors import InputError, did_you_mean, dotted
from framesift.core.plugins import plugins, use_plugin_folders
from framesift.scoring.encoders import Encoder
from framesift.scoring.scorers import TwoTowers
from framesift.scoring.scorers.mllm_selector import MllmSelector
from framesift.scoring.scorers.pseudo_labels import PseudoLabels
from framesift.storage.untrusted import check_plain, read_text

#: Settings of the largest configuration. What YAML repeats by name (&a, *a) counts at each place.
MOST_SETTINGS = 200_000

Path_ = tuple[str | int, ...]


class Origin(NamedTuple):
    """The files that a configuration was merged from, and what they came to."""

    files: Sequence[str | Path]
    merged: Mapping[str, Any]


def load_config(raw: Mapping[str, Any], files: Sequence[str | Path] = (), defaults: str | Path | None = None) -> Config:
    """Check a configuration.

    Parameters
    ----------
    raw : mapping
        The merged configuration.
    files : sequence of path
        The files it was merged from, in order, to name the one that holds a mistake.
    defaults : path, optional
        The file with the configuration that `raw` changes.

    Raises
    ------
    InputError
        For the first mistake: an unknown key or kind, a wrong type or value, a name that refers to nothing.
    """
    _check_plain(raw, Origin(files, raw))
    for file in files:  # Snakemake, which merged them, takes the last of two equal keys
        if Path(file).is_file() and not (defaults is not None and Path(file).samefile(defaults)):
            read_yaml(file)
    if defaults is not None:
        merged = read_yaml(defaults)
        _merge(merged, raw)
        raw, files = merged, (defaults, *files)
    origin = Origin(files, raw)
    try:
        config = config_with(_plugins_named(raw, origin)).model_validate(raw)
    except ValidationError as error:
        raise _explain(error.errors()[0], raw, origin) from None
    _check_values(raw, config, (), origin)
    _check_names(config, origin)
    _check_training(config, origin)
    return config


def _check_values(raw: Any, made: Any, place: Path_, files: Origin) -> None:
    """Refuse what pydantic accepts and no user means: true as the number 1, and paths that Snakemake cannot match."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            _check_values(value, _made_of(key, made), (*place, key), files)
    elif isinstance(raw, list) and isinstance(made, list | tuple):
        for position, (value, part) in enumerate(zip(raw, made, strict=False)):
            _check_values(value, part, (*place, position), files)
    elif isinstance(raw, bool) and not isinstance(made, bool) and isinstance(made, int | float):
        problem, expected = "is not usable", "a number"
        raise InputError(problem, file=_file_of(place, files), field=dotted(place), value=raw, expected=expected)
    elif isinstance(made, Path) and set("{}") & set(str(made)):
        raise InputError(
            "has braces, which mark the wildcards of Snakemake",
            file=_file_of(place, files),
            field=dotted(place),
            value=str(made),
            expected="a path without { and }",
            hint="rename the folder, or use a link to it",
        )


def _made_of(key: str | int, made: Any) -> Any:
    """What became of a key: an entry of a mapping, or a field by its name or by another name that users may give it."""
    if isinstance(made, Mapping):
        return made.get(key)
    fields = type(made).model_fields.items() if isinstance(made, BaseModel) else ()
    return next((getattr(made, name) for name, one in fields if key in (name, *_other_names(one))), None)


def _other_names(field: Any) -> list[Any]:
    return list(getattr(field.validation_alias, "choices", ()))


def _plugins_named(raw: Mapping[str, Any], files: Origin) -> tuple[tuple[str, type[Component]], ...]:
    """The plug-ins that a configuration names, by family; no other is imported. Those of its folders become known."""
    folders = raw.get("plugins")
    if not isinstance(folders, list | tuple) or not all(isinstance(folder, str) for folder in folders):
        folders = ()  # none; anything else is refused with all that is wrong
    for position, folder in enumerate(folders):
        if not Path(folder).is_dir():
            place = ("plugins", position)
            raise InputError(
                "there is no such folder",
                file=_file_of(place, files),
                field=dotted(place),
                value=folder,
                expected="a folder, relative to the working folder",
            )
    use_plugin_folders(folders)
    named = []
    for family in FAMILIES:
        section = raw.get(family)
        parts = section.values() if isinstance(section, Mapping) else ()
        used = {str(part.get("kind")) for part in parts if isinstance(part, Mapping)}
        named += [(family, implementation(family, kind)) for kind in plugins(family) if kind in used]
    return tuple(named)


def read_config(*files: str | Path) -> Config:
    """Check the configuration in files; of a key in several, the last counts (as Snakemake merges them)."""
    merged: dict[str, Any] = {}
    for file in files:
        _merge(merged, read_yaml(file))
    return load_config(merged, files)


def read_yaml(file: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises
    ------
    InputError
        If it is not one, a key comes twice, or a number is written 1:30, which YAML 1.1 reads as 90.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("budgets: [8, 16]")
    ...     file.flush()
    ...     read_yaml(file.name)
    {'budgets': [8, 16]}
    """
    import yaml

    try:
        content = yaml.load(read_text(file), _strict_loader()) or {}
    # the others: a date such as 2024-13-01, a "!!timestamp" or "!!bool" that is none
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise InputError(f"is not YAML ({str(error) or type(error).__name__})", file=file) from None
    if not isinstance(content, dict):
        raise InputError("is no configuration", file=file, value=content, expected="keys with their values")
    return content


@cache
def _strict_loader() -> Any:
    """A safe loader of YAML that rejects what is a mistake: equal keys, and 1:30, which YAML 1.1 reads as 90."""
    import yaml

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            first: dict[str, Any] = {}
            for key in keys:
                if first.setdefault(key.value, key) is not key and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} comes twice", key.start_mark
                    )
            return super().construct_mapping(node, deep)

        def number(self, node: Any) -> Any:
            value = yaml.SafeLoader.yaml_constructors[node.tag](self, node)
            if ":" in node.value:
                problem = f"{node.value} would be read as {value}: quote it if it is text"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return value

    for kind in ("int", "float"):
        Strict.add_constructor(f"tag:yaml.org,2002:{kind}", Strict.number)
    return Strict


def _check_plain(raw: Mapping[str, Any], files: Origin) -> None:
    """Refuse what no setting can be, and what is endless: YAML has dates, bytes, sets, cycles, and names for parts."""
    try:
        check_plain(raw, MOST_SETTINGS)
    except ValueError as error:
        raise InputError(
            f"cannot be used: {error}",
            file=files.files[-1] if files.files else None,
            field="configuration",
            expected="texts, finite numbers, true, false, null, and lists and mappings of these",
            hint="quote a text that YAML takes for something else, such as a date",
        ) from None


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _check_name(word: str, defined: Iterable[str], what: str, place: Path_, files: Origin) -> None:
    if word not in defined:
        raise InputError(
            f"there is no {what} of this name",
            file=_file_of(place, files),
            field=dotted(place),
            value=word,
            expected=f"one of {', '.join(defined) or '(none is configured)'}",
            hint=did_you_mean(word, defined),
        )


def _check_names(config: Config, files: Origin) -> None:
    """Every name a table uses must be defined."""
    for name, table in config.tables.items():
        uses: list[tuple[str, Iterable[str], Mapping[str, Any]]] = [
            ("dataset", [table.dataset], config.datasets),
            ("answerers", table.answerers, config.answerers),
            ("scorers", table.scorers, config.scorers),
            ("selectors", table.selectors, config.selectors),
            ("runs", table.runs, config.runs),
            ("judge", [table.judge] if table.judge else [], config.judges),
        ]
        for key, used, defined in uses:
            for position, word in enumerate(used):
                single = key in ("dataset", "judge")
                place: Path_ = ("tables", name, key) if single else ("tables", name, key, position)
                _check_name(word, defined, key.removesuffix("s"), place, files)
        place = ("tables", name, "baseline")
        rows = table.selectors or table.runs
        if table.baseline not in rows:
            raise InputError(
                f"the baseline is not among the table's {'selectors' if table.selectors else 'runs'}",
                file=_file_of(place, files) or _file_of(("tables", name), files),
                field=dotted(place),
                value=table.baseline,
                expected=f"one of {', '.join(rows)}",
                hint=did_you_mean(table.baseline, rows),
            )
        for position, word in enumerate(table.scorers):
            dataset = config.datasets[table.dataset].kind
            if problem := config.scorers[word].refuses(dataset, config.candidates.rule):
                raise InputError(
                    problem,
                    file=_file_of(("tables", name, "scorers", position), files),
                    field=f"tables.{name}.scorers.{position}",
                    value=word,
                )
        _check_variants(config, name, files)
        _check_prompt(config, name, files)
        _check_embeddings(config, name, files)
        needy = [word for word in table.selectors if config.selectors[word].needs_scores]
        if needy and not table.scorers:
            raise InputError(
                f"selector {needy[0]!r} needs scores, but the table names no scorer",
                file=_file_of(("tables", name), files),
                field=f"tables.{name}.scorers",
                expected=f"at least one of {', '.join(config.scorers) or '(none is configured)'}",
            )


def _check_variants(config: Config, name: str, files: Origin) -> None:
    """A variant of an answerer is compared with that one, which therefore is in the table too."""
    table = config.tables[name]
    for word in table.answerers:
        original = config.answerers[word].variant_of
        if original is None:
            continue
        known = [other for other in config.answerers if config.answerers[other].variant_of is None]
        if original not in known:
            raise InputError(
                "is the name of no answerer that is itself no variant",
                file=_file_of(("answerers", word, "variant_of"), files),
                field=f"answerers.{word}.variant_of",
                value=original,
                expected=f"one of {', '.join(known)}",
                hint=did_you_mean(original, known),
            )
        if original not in table.answerers:
            raise InputError(
                f"{word!r} is a variant of {original!r}, which the table lacks",
                file=_file_of(("tables", name, "answerers"), files),
                field=f"tables.{name}.answerers",
                value=list(table.answerers),
                hint=f"add {original}: its rows are what those of the variant are compared with",
            )


def _check_training(config: Config, files: Origin) -> None:
    """Every name that training uses must be defined: of scorers, of datasets, of selectors that are trained."""
    labels = {name: one for name, one in config.scorers.items() if isinstance(one, PseudoLabels)}
    trained = {name: one for name, one in config.scorers.items() if isinstance(one, MllmSelector)}
    plain = config.scorers.keys() - labels.keys() - {name for name, one in trained.items() if one.made_here}
    uses: list[tuple[Path_, str, str, Iterable[str]]] = [
        *(
            (("scorers", name, "labels", "vlm", "scorer"), "scorer that can stand in", one.stand_in, sorted(plain))
            for name, one in labels.items()
            if one.stand_in
        ),
        *(
            (("scorers", name, "model"), "selector that is trained", one.made_here, config.trained)
            for name, one in trained.items()
            if one.made_here
        ),
        *(
            (("trained", name, "labels"), "scorer of pseudo-labels", one.labels, labels)
            for name, one in config.trained.items()
        ),
        *(
            (("trained", name, key, position), "dataset", word, config.datasets)
            for name, one in config.trained.items()
            for key in ("data", "validation")
            for position, word in enumerate(getattr(one, key))
        ),
    ]
    for place, what, word, defined in uses:
        _check_name(word, defined, what, place, files)
    for name, one in config.trained.items():
        of_labels = labels[one.labels].labels
        for key, theirs, ours in (
            ("vision.frames", of_labels.n, one.selector.n),
            ("text", of_labels.text, one.selector.text),
        ):
            if theirs != ours:
                place = ("trained", name, "selector", *key.split("."))
                raise InputError(
                    f"is not what {one.labels!r} labels",
                    file=_file_of(place, files),
                    field=dotted(place),
                    value=ours,
                    expected=repr(theirs),
                )
        if any("instruction" in stage.tasks for stage in one.stages) and not one.instructions:
            raise InputError(
                "are needed for the task `instruction`",
                file=_file_of(("trained", name), files),
                field=f"trained.{name}.instructions",
                hint="or leave the task out: stages: [{stage: 1, tasks: [importance]}, ...]",
            )


def _check_prompt(config: Config, name: str, files: Origin) -> None:
    """The dataset must know a prompt of this name, and have subtitles where they are asked for."""
    table = config.tables[name]
    dataset = config.datasets[table.dataset]
    if isinstance(table.prompt, str) and table.prompt not in dataset.prompts:
        raise InputError(
            f"{dataset.kind} has no prompt of this name",
            file=_file_of(("tables", name, "prompt"), files),
            field=f"tables.{name}.prompt",
            value=table.prompt,
            expected=f"one of {', '.join(dataset.prompts)}, or the texts themselves",
            hint=did_you_mean(table.prompt, dataset.prompts),
        )
    if table.subtitles != "none" and dataset.subtitles is None:
        raise InputError(
            "the dataset has no folder of subtitles",
            file=_file_of(("tables", name, "subtitles"), files),
            field=f"tables.{name}.subtitles",
            value=table.subtitles,
            hint=f"set datasets.{table.dataset}.subtitles",
        )


def _check_embeddings(config: Config, name: str, files: Origin) -> None:
    """Selectors that need embeddings need something that makes them, and reads questions if they need that."""
    table = config.tables[name]
    needy = [word for word in table.selectors if config.selectors[word].needs_embeddings]
    reading = [word for word in needy if config.selectors[word].needs_query]
    if not needy:
        return
    known = {**config.scorers, **config.encoders}
    keeping = [word for word, one in known.items() if isinstance(one, Encoder) and one.keeps_features and one.vectors]
    for word in [table.encoder] if table.encoder else table.scorers:
        field = f"tables.{name}.{'encoder' if table.encoder else 'scorers'}"
        file = _file_of(("tables", name), files)
        if word not in keeping:
            raise InputError(
                f"selector {needy[0]!r} needs embeddings, and {word!r} keeps none",
                file=file,
                field=field,
                value=word,
                expected=f"one of {', '.join(keeping)}",
                hint=f"name one of them as tables.{name}.encoder",
            )
        if reading and not isinstance(known[word], TwoTowers):
            raise InputError(
                f"selector {reading[0]!r} needs the embedding of the question, and {word!r} cannot read",
                file=file,
                field=field,
                value=word,
                expected="a scorer with embeddings of texts: clip, siglip or blip_itc",
            )
    if not table.encoder and not table.scorers:
        raise InputError(
            f"selector {needy[0]!r} needs embeddings, but the table names neither encoder nor scorer",
            file=_file_of(("tables", name), files),
            field=f"tables.{name}.encoder",
            expected=f"one of {', '.join(keeping)}",
        )


def _explain(error: Any, raw: Mapping[str, Any], files: Origin) -> InputError:
    """A pydantic error as ours."""
    place, model = _locate(error["loc"], raw)
    key = str(place[-1]) if place else ""
    kind = error["type"]
    value = error["input"]
    expected, hint = None, None
    if kind == "extra_forbidden":
        fields = list(model.model_fields) if model else []
        problem, expected = "there is no such key", f"one of {', '.join(fields)}"
        hint, value = did_you_mean(key, fields), None
    elif kind == "missing":
        problem, value = "is required", None
        hint = model.model_fields[key].description if model and key in model.model_fields else None
    elif kind.startswith("union_tag") and len(place) > 3:  # a part of a component
        tag = error["ctx"]["discriminator"].strip("'")
        place = (*place, tag) if key != tag else place
        value, expected = _at(raw, place), error["ctx"].get("expected_tags")
        problem = "there is no such kind" if value is not None else "is required"
    elif kind.startswith("union_tag") or (kind == "literal_error" and key == "kind" and place[0] in FAMILIES):
        family = str(place[0])
        place = (*place, "kind") if key != "kind" else place
        value = _at(raw, place)
        known = kinds(family)
        problem = "there is no such kind" if value is not None else "is required"
        expected, hint = f"one of {', '.join(known)}", did_you_mean(str(value), known) if value else None
    elif kind == "literal_error":
        problem, expected = "is not a possible value", error["ctx"]["expected"]
        hint = did_you_mean(str(value), [word.strip("' ") for word in expected.replace(" or ", ",").split(",")])
    elif kind == "value_error":
        problem = error["msg"].removeprefix("Value error, ")
    else:
        problem = "is not usable"
        expected = error["msg"].removeprefix("Input should be ")
    return InputError(
        problem, file=_file_of(place, files), field=dotted(place), value=value, expected=expected, hint=hint
    )


def _locate(loc: Path_, raw: Any) -> tuple[Path_, type[BaseModel] | None]:
    """The keys that lead to a mistake (pydantic mixes union tags into its path), and the model that has the last."""
    place: Path_ = ()
    value, annotation = raw, Config
    model: type[BaseModel] | None = Config
    for step in loc:
        model = _model_of(annotation, value, place)
        is_key = isinstance(value, Mapping) and (step in value or (model is not None and step in model.model_fields))
        is_position = isinstance(value, list) and isinstance(step, int)
        if not is_key and not is_position:
            continue  # a tag such as "clip", or the "[key]" of a mistaken name
        place = (*place, step)
        if model is not None and step in model.model_fields:
            annotation = model.model_fields[step].annotation  # type: ignore[assignment]
        elif model is None:
            arguments = typing.get_args(annotation)
            annotation = arguments[-1] if typing.get_origin(annotation) is dict and arguments else Any  # type: ignore
        value = _at(raw, place)
    return place, model


def _model_of(annotation: Any, value: Any, place: Path_) -> type[BaseModel] | None:
    """The model class behind an annotation; for a union of components the one its `kind` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _model_of(typing.get_args(annotation)[0], value, place)
    if origin in (typing.Union, types.UnionType) and isinstance(value, Mapping) and place:
        kind = value.get("kind")
        if place[0] in FAMILIES and kind in kinds(str(place[0])):
            return implementation(str(place[0]), kind)
    if origin in (typing.Union, types.UnionType):  # a section that may be absent
        models = [
            part for part in typing.get_args(annotation) if isinstance(part, type) and issubclass(part, BaseModel)
        ]
        return models[0] if len(models) == 1 else None
    return None


def _at(raw: Any, place: Path_) -> Any:
    for step in place:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _file_of(place: Path_, files: Origin) -> str | None:
    """The file that holds the value of a key, or of its nearest parent in a file.

    The order of the files does not tell: Snakemake names those of --configfile, which win, before config/config.yaml.
    """
    read = {str(file): read_yaml(file) for file in reversed(files.files) if Path(file).is_file()}
    for length in range(len(place), 0, -1):
        found = {name: _at(content, place[:length]) for name, content in read.items()}
        found = {name: value for name, value in found.items() if value is not None}
        if found:
            merged = _at(files.merged, place[:length])
            return next((name for name, value in found.items() if _is_within(value, merged)), next(iter(found)))
    return str(files.files[-1]) if files.files else None


def _is_within(value: Any, merged: Any) -> bool:
    """Whether no other file has changed a value: all of it is in the merged one."""
    if isinstance(value, Mapping) and isinstance(merged, Mapping):
        return all(_is_within(part, merged.get(key)) for key, part in value.items())
    return bool(value == merged)
