"""What to cite for a configuration, and a paragraph for the experimental section of a paper.

config/references.bib holds the entries, `WORKS` which kind of component needs which of them. The keys of entries are
stable.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from framesift.core.errors import InputError, did_you_mean, invalid

REFERENCES = Path(__file__).with_name("references.bib")

#: The name of a kind, or its parameters with `kind` among them.
Spec = Mapping[str, Any] | str


class Work(NamedTuple):
    """What a kind is called in a text, and the keys of what to cite for it; none where there is nothing to cite."""

    name: str
    keys: tuple[str, ...] = ()


WORKS: dict[str, dict[str, Work]] = {
    "datasets": {
        "activitynetqa": Work("ActivityNet-QA", ("yu2019activitynetqa",)),
        "custom": Work("a data set of our own"),
        "egoschema": Work("EgoSchema", ("mangalam2023egoschema",)),
        "longvideobench": Work("LongVideoBench (validation)", ("wu2024longvideobench",)),
        "lvbench": Work("LVBench", ("wang2025lvbench",)),
        "mlvu": Work("MLVU (dev)", ("zhou2025mlvu",)),
        "nextqa": Work("NExT-QA (multiple choice)", ("xiao2021nextqa",)),
        "nextqa_oe": Work("NExT-QA (open-ended)", ("xiao2021nextqa",)),
        "videomme": Work("Video-MME", ("fu2025videomme",)),
    },
    "encoders": {
        "dino": Work("DINOv2", ("oquab2024dinov2",)),
        "patches": Work("patches of frames, as the M-LLM selector sees them", ("hu2025mllm",)),
    },
    "scorers": {
        "aks_outscores": Work("the released scores of AKS", ("tang2025aks",)),
        "blip2_itm": Work("BLIP-2 (image-text matching)", ("li2023blip2",)),
        "blip_itc": Work("BLIP (image-text contrast)", ("li2022blip",)),
        "blip_itm": Work("BLIP (image-text matching)", ("li2022blip",)),
        "blip_itm_lavis": Work("BLIP (image-text matching, by LAVIS)", ("li2022blip", "li2023lavis")),
        "clip": Work("CLIP", ("radford2021clip",)),
        "mllm_selector": Work("the M-LLM frame selector", ("hu2025mllm",)),
        "pseudo_labels": Work("pseudo-labels of frames, as for the M-LLM frame selector", ("hu2025mllm",)),
        "sevila": Work("the localizer of SeViLA", ("yu2023sevila", "li2023blip2")),
        "siglip": Work("SigLIP", ("zhai2023siglip",)),
    },
    "selectors": {
        "adaptive": Work("Adaptive", ("framesift",)),
        "adard": Work("AdaRD-Key-style selection (re-derived)", ("zhang2025adardkey",)),
        "aks": Work("AKS", ("tang2025aks",)),
        "bin": Work("the best-scored frame of each of equal parts (BIN)", ("tang2025aks",)),
        "bolt": Work("BOLT", ("liu2025bolt",)),
        "cats": Work("CATS-style selection (re-derived)", ("miraj2025cats",)),
        "dig": Work("the refinement stage of DIG", ("li2026dig",)),
        "dpselect": Work("DPSelect of ReTaKe", ("wang2024retake",)),
        "facility_location": Work(
            "facility location", ("nemhauser1978submodular", "lin2011submodular", "minoux1978greedy")
        ),
        "focus": Work("FOCUS (replayed on the scores of all candidates)", ("zhu2026focus",)),
        "frag": Work("FRAG", ("huang2025frag",)),
        "imported": Work("published selections"),
        "kfc": Work("KFC (greedy) of Nar-KFC", ("fang2026narkfc",)),
        "maxinfo": Work("MaxInfo (after a third party's code)", ("li2025maxinfo", "brkic2025sampling")),
        "mdp3": Work("mDP3", ("sun2025mdp3",)),
        "mdp3_global": Work("mDP3 over the whole video", ("sun2025mdp3",)),
        "mmr": Work("maximal marginal relevance", ("carbonell1998mmr",)),
        "nms": Work("non-maximum suppression as in the M-LLM selector", ("hu2025mllm",)),
        "qframe": Work("Q-Frame (at one resolution)", ("zhang2025qframe",)),
        "random": Work("random frames"),
        "topk": Work("the best-scored frames (TOP)", ("tang2025aks",)),
        "uniform": Work("uniform sampling"),
        "wfs_sb": Work("WFS-SB", ("chen2026wfssb",)),
    },
    "answerers": {
        "idefics2": Work("Idefics2", ("laurencon2024idefics2",)),
        "internvl3": Work("InternVL3", ("zhu2025internvl3",)),
        "llava_next_video": Work("LLaVA-NeXT-Video", ("zhang2024llavanextvideo",)),
        "llava_onevision": Work("LLaVA-OneVision", ("li2025llavaonevision",)),
        "llava_onevision_hf": Work("LLaVA-OneVision (transformers form)", ("li2025llavaonevision",)),
        "llava_vid": Work("LLaVA-Video", ("zhang2025llavavideo",)),
        "openai_api": Work("a model asked through a chat interface"),
        "pllava": Work("PLLaVA", ("xu2024pllava",)),
        "qwen2_5_vl": Work("Qwen2.5-VL", ("bai2025qwen25vl",)),
        "qwen2_vl": Work("Qwen2-VL", ("wang2024qwen2vl",)),
        "qwen3_vl": Work("Qwen3-VL", ("bai2025qwen3vl",)),
    },
}

#: Whose selections `imported` takes.
PUBLISHED = {
    "aks": Work("the published selections of AKS", ("tang2025aks",)),
    "wfs_sb": Work("the published selections of WFS-SB", ("chen2026wfssb",)),
    "kfs_bench": Work("the published selections of KFS-Bench", ("li2026kfsbench",)),
}
#: The scorer behind each of the released scores of AKS.
OUTSCORES = {"blip": "blip_itm", "clip": "clip", "sevila": "sevila"}


def work_of(family: str, spec: Spec) -> Work:
    """Name and keys of a component, by its kind and, where a kind covers several works, by its parameters.

    Raises
    ------
    InputError
        For a kind that is not in `WORKS`.
    """
    given = {"kind": spec} if isinstance(spec, str) else spec
    kind, model = str(given.get("kind")), str(given.get("model", "")).lower()
    if kind not in WORKS[family]:
        raise InputError(
            f"nothing is known to cite for this kind of {family.removesuffix('s')}",
            field="kind",
            value=kind,
            expected=f"one of {', '.join(WORKS[family])}",
            hint=did_you_mean(kind, WORKS[family]) or "add it to WORKS in framesift/papers/citations.py",
        )
    work = WORKS[family][kind]
    if family == "selectors" and kind == "imported":
        return PUBLISHED.get(str(given.get("format")), work)
    if family == "scorers" and kind == "aks_outscores" and given.get("scores") in OUTSCORES:
        behind = WORKS["scorers"][OUTSCORES[given["scores"]]]
        return Work(f"the released scores of AKS by {behind.name}", work.keys + behind.keys)
    if family == "scorers" and kind == "siglip" and "siglip2" in model:
        return Work("SigLIP 2", (*work.keys, "tschannen2025siglip2"))
    if family == "answerers" and kind == "internvl3" and re.search(r"internvl3[._]5", model):
        return Work("InternVL3.5", ("wang2025internvl35",))
    return work


def keys_of(
    *,
    dataset: Spec | None = None,
    selectors: Iterable[Spec] = (),
    scorers: Iterable[Spec] = (),
    encoders: Iterable[Spec] = (),
    answerers: Iterable[Spec] = (),
) -> tuple[str, ...]:
    """Keys of what to cite, each once, in the order: data set, selectors, scorers, encoders, answerers.

    Parameters
    ----------
    dataset : str or mapping, optional
        A kind, or a spec with `kind` and `model`, `format` or `scores` where one kind covers several works.
    selectors, scorers, encoders, answerers : iterable of str or mapping
        A scorer that embeds frames counts as a scorer.

    Raises
    ------
    InputError
        For an unknown kind.
    """
    slices = (
        ("datasets", [dataset] if dataset is not None else []),
        ("selectors", selectors),
        ("scorers", scorers),
        ("encoders", encoders),
        ("answerers", answerers),
    )
    return tuple(dict.fromkeys(key for family, specs in slices for one in specs for key in work_of(family, one).keys))


# The file of references

_REQUIRED = {
    "article": ("author", "title", "journal", "year"),
    "inproceedings": ("author", "title", "booktitle", "year"),
    "misc": ("author", "title"),
}
_ARXIV = re.compile(r"\d{4}\.\d{4,5}")
_HEAD = re.compile(r"@(\w+)\{([A-Za-z0-9_:.-]+),")
_FIELD = re.compile(r"\s*([A-Za-z]+)\s*=\s*")


@dataclass(frozen=True)
class Entry:
    """One entry of a BibTeX file: type, key, fields without their braces, and its text as it stands there."""

    type: str
    key: str
    fields: Mapping[str, str]
    text: str


def read_bibliography(path: str | Path = REFERENCES) -> dict[str, Entry]:
    """The entries of a BibTeX file by key, in its order.

    A strict reader for a file that is kept by hand: ASCII, lines that start with % are comments, values stand in
    braces (or are bare numbers and names of months), and entries have the fields that their type needs.

    Raises
    ------
    InputError
        With the line, for anything else, and for a key that comes twice.
    """
    try:
        text = Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            "has a character that is not ASCII", file=path, field=f"line {line}", hint="write it as TeX, such as {\\'e}"
        ) from None
    found: dict[str, Entry] = {}
    for line, entry in _entries(text, path):
        if entry.key.lower() in (key.lower() for key in found):  # BibTeX does not tell cases apart
            raise InputError("is the key of two entries", file=path, field=f"line {line}", value=entry.key)
        found[entry.key] = entry
    return found


def _entries(text: str, path: str | Path) -> Iterator[tuple[int, Entry]]:
    at = 0
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        if text[at].isspace():
            at += 1
        elif text[at] == "%":
            at = (text.find("\n", at) + 1) or len(text)
        else:
            start = at
            head = _HEAD.match(text, at)
            if not head:
                raise _wrong("is no entry", path, line, text[at:], "@type{key, name = {value}, ...}")
            fields, at = _fields(text, head.end(), path)
            entry = Entry(head[1].lower(), head[2], fields, text[start:at])
            _check(entry, path, line)
            yield line, entry


def _fields(text: str, at: int, path: str | Path) -> tuple[dict[str, str], int]:
    """The fields of an entry, and where it ends."""
    fields: dict[str, str] = {}
    while True:
        line = text.count("\n", 0, at) + 1
        if end := re.compile(r"\s*\}").match(text, at):
            return fields, end.end()
        name = _FIELD.match(text, at)
        if not name:
            raise _wrong("is no field", path, line, text[at:].lstrip(), "name = {value},")
        line = text.count("\n", 0, name.start(1)) + 1
        value, at = _value(text, name.end(), path, line)
        if name[1].lower() in fields:
            raise _wrong("has a field twice", path, line, name[1], "each field once")
        fields[name[1].lower()] = value
        if comma := re.compile(r"\s*,").match(text, at):
            at = comma.end()
        elif not re.compile(r"\s*\}").match(text, at):
            raise _wrong("has no comma after a field", path, line, name[1], "name = {value},")


def _value(text: str, at: int, path: str | Path, line: int) -> tuple[str, int]:
    if bare := re.compile(r"\d+|[a-z]{3}\b").match(text, at):
        return bare[0], bare.end()
    depth = 0
    for end in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            break
    if depth or at >= len(text) or text[at] != "{":
        raise _wrong("is no value", path, line, text[at:], "text in braces that balance")
    value = text[at + 1 : end].strip()
    if not value:
        raise _wrong("is empty", path, line, text[at : end + 1], "a value; leave the field out where it is not known")
    return value, end + 1


def _check(entry: Entry, path: str | Path, line: int) -> None:
    if entry.type not in _REQUIRED:
        raise _wrong("is a type of entry that is not used here", path, line, entry.type, ", ".join(_REQUIRED))
    if missing := [name for name in _REQUIRED[entry.type] if name not in entry.fields]:
        raise _wrong(f"lacks {missing[0]!r}", path, line, entry.key, ", ".join(_REQUIRED[entry.type]))
    year, eprint = entry.fields.get("year"), entry.fields.get("eprint")
    if year is not None and not re.fullmatch(r"\d{4}", year):
        raise _wrong("has another year than four digits", path, line, year, "such as 2025")
    if eprint is not None and not (_ARXIV.fullmatch(eprint) and entry.fields.get("archiveprefix") == "arXiv"):
        raise _wrong(
            "has an eprint that is none of arXiv", path, line, eprint, "eprint = {2502.21271}, archiveprefix = {arXiv}"
        )


def _wrong(problem: str, path: str | Path, line: int, found: str, expected: str) -> InputError:
    shown = found.splitlines()[0][:60] if found else ""
    return InputError(problem, file=path, field=f"line {line}", value=shown, expected=expected)


def bibtex(keys: Iterable[str], path: str | Path = REFERENCES) -> str:
    """The entries of some keys as BibTeX, each once, in the given order.

    Raises
    ------
    InputError
        For a key that the file does not have.
    """
    known = read_bibliography(path)
    wanted = list(dict.fromkeys(keys))
    for key in wanted:
        if key not in known:
            raise InputError("there is no entry of this key", file=path, value=key, hint=did_you_mean(key, known))
    return "".join(f"{known[key].text}\n\n" for key in wanted).rstrip("\n") + ("\n" if wanted else "")


def keys_in(text: str) -> tuple[str, ...]:
    r"""The keys that a LaTeX text cites, each once, in order.

    >>> keys_in(r"As in~\cite{tang2025aks,liu2025bolt} and~\cite{tang2025aks}.")
    ('tang2025aks', 'liu2025bolt')
    """
    cited = re.findall(r"\\cite\{([^}]*)\}", text)
    return tuple(dict.fromkeys(key.strip() for keys in cited for key in keys.split(",")))


# A paragraph on how a table was made


class Setup(BaseModel):
    """What decides the numbers of a table, by the names that the table shows. `setup_of` makes one.

    Specs are those of the components (`Component.spec`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: dict[str, Any]
    in_form_of: bool = Field(default=False, description="the data set is another one, in the form of its kind")
    n_questions: int | None = Field(default=None, ge=1)
    n_videos: int | None = Field(default=None, ge=1)
    candidates: dict[str, Any] = {"rule": "index"}
    decoder: str = "pyav"
    budgets: tuple[int, ...] = Field(min_length=1)
    selectors: dict[str, dict[str, Any]] = Field(min_length=1)
    scorers: dict[str, dict[str, Any]] = {}
    encoder: dict[str, Any] | None = None
    own_embeddings: bool = Field(default=False, description="a method takes the embeddings of each scorer itself")
    answerers: dict[str, dict[str, Any]] = Field(min_length=1)
    baseline: str | None = None
    protocol: Literal["fair", "released"] = "fair"
    controls: tuple[str, ...] = ()
    prompt: dict[str, str] = {}
    subtitles: Literal["none", "all", "frames"] = "none"
    open_answers: bool = False
    unparsed: Literal["wrong", "lmms_eval"] = "wrong"
    judge: dict[str, Any] | None = None
    runs: tuple[dict[str, Any], ...] = ()
    seed: int = 0
    versions: dict[str, str] = Field(default={}, description="of lmms-eval, snakemake, transformers")


def setup_of(config: Any, table_name: str) -> dict[str, Any]:
    """The spec of `methods_text` for a table of a checked configuration, as plain types.

    Parameters
    ----------
    config : framesift.config.models.Config
    table_name : str

    Returns
    -------
    dict
        A `Setup`, without what the configuration does not know: numbers of questions and videos, and versions.
        A data set whose label file has a name of its own, and that may not be downloaded, counts as another one in the
        form of its kind.
    """
    table = config.tables[table_name]
    dataset = config.datasets[table.dataset]
    selectors = [config.selectors[name] for name in table.selectors]
    encoder = (config.encoders | config.scorers)[table.encoder] if table.encoder else None
    needs_scorers = any(one.needs_scores or (one.needs_embeddings and not encoder) for one in selectors)
    prompt = (
        dataset.prompts["default" if table.prompt is None else table.prompt]
        if not isinstance(table.prompt, dict)
        else table.prompt
    )

    def labelled(components: Any, names: Sequence[str]) -> dict[str, Any]:
        return {components[name].label or name: components[name].spec() for name in names}

    return {
        "dataset": dataset.spec(),
        "in_form_of": not dataset.download and dataset.labels != type(dataset).model_fields["labels"].default,
        "candidates": config.candidates.spec(),
        "decoder": config.decoder,
        "budgets": list(table.budgets),
        "selectors": labelled(config.selectors, table.selectors),
        "scorers": labelled(config.scorers, table.scorers) if needs_scorers else {},
        "encoder": encoder.spec() if encoder else None,
        "own_embeddings": encoder is None and any(one.needs_embeddings for one in selectors),
        "answerers": {answerer_label(config, name): config.answerers[name].spec() for name in table.answerers},
        "baseline": config.selectors[table.baseline].label or table.baseline,
        "protocol": table.protocol,
        "controls": list(table.controls),
        "prompt": dict(prompt),
        "subtitles": table.subtitles,
        "open_answers": dataset.lmms_task.open,
        "unparsed": table.unparsed,
        "judge": config.judges[table.judge].spec() if table.judge else None,
        "runs": [
            {key: getattr(config.runs[name], key) for key in ("answerer", "method", "budget")} for name in table.runs
        ],
        "seed": config.seed,
    }


def answerer_label(config: Any, name: str) -> str:
    """What a text calls an answerer; a variant goes by what it is a variant of, and its own name."""
    answerer = config.answerers[name]
    own = answerer.label or name
    return own if answerer.variant_of is None else f"{answerer_label(config, answerer.variant_of)} + {own}"


def methods_text(spec: Mapping[str, Any]) -> str:
    r"""A paragraph, in LaTeX, for the experimental section of a paper: how the numbers of a table were made.

    It says what the configuration says and no more. Texts of the user and of prompts are escaped; ``\cite`` names keys
    of config/references.bib (`keys_in`, `bibtex`).

    Parameters
    ----------
    spec : mapping
        A `Setup`.

    Raises
    ------
    InputError
        For a spec that is none, or names an unknown kind.
    """
    try:
        setup = Setup.model_validate(spec)
    except ValidationError as error:
        raise invalid(error, "setup") from None
    return " ".join(
        sentence
        for part in (_data, _methods, _models, _asking, _judging, _statistics, _tools)
        for sentence in part(setup)
    )


def latex(text: Any) -> str:
    r"""A text with what is special in LaTeX escaped; line breaks are shown as ``\n``.

    >>> print(latex("50 % of a_b & {c}"))
    50 \% of a\_b \& \{c\}
    """
    special = {
        "\\": r"\textbackslash{}",
        "\n": r"\textbackslash{}n",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
    return "".join(special.get(character, character) for character in str(text))


def _code(text: Any) -> str:
    return rf"\texttt{{{latex(text)}}}"


def _cited(work: Work) -> str:
    return latex(work.name) + (rf"~\cite{{{','.join(work.keys)}}}" if work.keys else "")


def _listed(items: Sequence[str], mark: str = ",") -> str:
    return f"{mark} ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else "".join(items)


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "{,}")


#: Parameters that a text names in words, or that decide nothing.
_TOLD = {
    *("kind", "label", "model", "revision", "dtype", "attn_implementation", "format", "selection", "original"),
    *("scores", "commit", "folder", "base_url", "served", "localizer"),
}


def _parameters(spec: Mapping[str, Any]) -> list[str]:
    return [
        f"{_code(name.rstrip('_'))} {_value_text(value)}"
        for name, value in spec.items()
        if name not in _TOLD and value is not None and value not in ({}, [], "")
    ]


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"${value}$" if value < 0 else str(value)
    if isinstance(value, list | tuple):
        return latex(" x ".join(map(str, value)))
    return latex(value)


def _checkpoint(spec: Mapping[str, Any]) -> list[str]:
    """The checkpoint of a component; of one in a folder only the folder's name, which says where nothing is."""
    if "model" not in spec:
        return [f"commit {_code(str(spec['commit'])[:12])}"] if spec.get("commit") else []
    model, revision = str(spec["model"]), spec.get("revision")
    if revision:
        told = [f"{_code(model)} at commit {_code(str(revision)[:12])}"]
    elif "base_url" in spec:
        told = [_code(model)]
    else:
        told = [f"a local checkpoint, {_code(Path(model).name)}"]
    if spec.get("localizer"):
        told.append(f"localizer {_code(Path(str(spec['localizer'])).name)}")
    return told + [_code(spec[name]) for name in ("dtype", "attn_implementation") if spec.get(name)]


def _component(family: str, label: str | None, spec: Mapping[str, Any]) -> str:
    named = [f"called {_code(label)} in the table"] if label not in (None, spec.get("kind")) else []
    details = named + _checkpoint(spec) + _parameters(spec)
    return _cited(work_of(family, spec)) + (f" ({', '.join(details)})" if details else "")


def _components(family: str, specs: Mapping[str, Mapping[str, Any]]) -> str:
    return _listed([_component(family, label, spec) for label, spec in specs.items()], ";")


def _data(setup: Setup) -> Iterator[str]:
    counts = [
        f"{_count(number)} {what}{'s' if number != 1 else ''}"
        for number, what in ((setup.n_questions, "question"), (setup.n_videos, "video"))
        if number is not None
    ]
    size = f" ({', '.join(counts)})" if counts else ""
    only = []
    for name, groups in (setup.dataset.get("groups") or {}).items():
        only.append(f"the questions of {_code(name)} {_listed([latex(group) for group in groups])}")
    for name, what in (("question_ids", "questions"), ("video_ids", "videos")):
        if setup.dataset.get(name):
            only.append(f"{_count(len(setup.dataset[name]))} chosen {what}")
    if setup.dataset.get("limit"):
        only.append(f"the first {_count(setup.dataset['limit'])} questions")
    benchmark = _cited(work_of("datasets", setup.dataset))
    named = f"a data set in the form of {benchmark}" if setup.in_form_of else benchmark
    yield f"We evaluate on {named}{size}{', of which we use ' + _listed(only) if only else ''}."
    if setup.candidates.get("rule") == "timestamp":
        density = _value_text(setup.candidates.get("per_second", 1))
        yield f"Candidates are the frames that a video shows at true seconds, {density} a second."
    else:
        yield (
            r"Candidates are the frames $j\lfloor f\rfloor$, $j = 0, 1, \dots$, of a video with $f$ frames a second,"
            r" about one a second, as in AKS~\cite{tang2025aks}."
        )
    if setup.decoder != "pyav":
        yield f"They are decoded by {_code(setup.decoder)}."


def _methods(setup: Setup) -> Iterator[str]:
    budgets = [_count(budget) for budget in setup.budgets]
    yield f"For each question, a method chooses among them for a budget of {_listed(budgets)} frames."
    yield f"We compare {_components('selectors', setup.selectors)}."
    if setup.scorers:
        yield f"Frames are scored by {_components('scorers', setup.scorers)}."
    if setup.encoder:
        family = "encoders" if setup.encoder.get("kind") in WORKS["encoders"] else "scorers"
        encoder = _component(family, None, setup.encoder)
        yield f"Embeddings of frames, where a method needs them, are those of {encoder}."
    elif setup.own_embeddings:
        yield "Embeddings of frames, where a method needs them, are those of the scorer."


def _models(setup: Setup) -> Iterator[str]:
    yield f"Questions are answered by {_components('answerers', setup.answerers)}."
    compressed = {name: spec["retake"] for name, spec in setup.answerers.items() if spec.get("retake")}
    if compressed:
        adapted = any(
            given["scores"] == "prompt" or given["layer_budget"] != "even" or given["temporal_budget"]
            for given in compressed.values()
        )
        more = r" and AdaReTaKe~\cite{wang2025adaretake}" if adapted else ""
        yield (
            rf"The video is compressed inside the network, as in ReTaKe~\cite{{wang2024retake}}{more}, for"
            f" {_listed([_code(name) for name in compressed])}."
        )


_CONTROLS = {
    "zeroed": "the first frame of the video in place of each",
    "shuffled": "the frames in another order",
    "blank": "grey pictures",
}


def _asking(setup: Setup) -> Iterator[str]:
    if setup.protocol == "fair":
        yield (
            "A model is shown the chosen frames as one video, in time order; every method gives as many distinct frames"
            r" as the budget, or all candidates where there are fewer (protocol \texttt{fair})."
        )
    else:
        yield (
            r"Frames are shown as the scripts of AKS's release~\cite{tang2025aks} do (protocol \texttt{released}): a"
            " selection of fewer frames than the budget is replaced by frames spread over the whole video, of a longer"
            " one the earliest are kept, and uniform frames are taken by the rule of the answerer's script."
        )
    if any(spec.get("variant") == "released" for spec in setup.selectors.values()):
        yield r"Methods with \texttt{variant} released give what their authors' code gives, which may be fewer frames."
    if setup.controls:
        told = _listed([_CONTROLS.get(control, _code(control)) for control in setup.controls])
        yield f"As negative controls, the frames of {_code(setup.baseline or 'the baseline')} are shown with {told}."
    texts = {
        "before": setup.prompt.get("pre_prompt", ""),
        "after": setup.prompt.get("post_prompt", ""),
    }
    around = [f"{_code(text)} {where} it" for where, text in texts.items() if text]
    options = "" if setup.open_answers else " and its options"
    if around:
        yield f"The prompt is the question{options}, with {_listed(around)}."
    else:
        yield f"The prompt is the question{options}, and no other text."
    if others := [
        f"{_code(name)} {_code(text)}"
        for name, text in setup.prompt.items()
        if name not in ("pre_prompt", "post_prompt")
    ]:
        yield f"Further settings of the prompt are {_listed(others)}."
    yield {
        "none": "No subtitles are given.",
        "all": "All subtitles of the video stand before the question.",
        "frames": "The subtitles shown with the chosen frames stand before the question.",
    }[setup.subtitles]


def _judging(setup: Setup) -> Iterator[str]:
    if setup.open_answers:
        if setup.judge:
            details = ", ".join(_checkpoint(setup.judge | {"base_url": ""}) + _parameters(setup.judge))
            yield f"Open answers are judged by a language model ({details}), which sees question, reference and answer."
        else:
            yield "Open answers are not judged."
    elif setup.unparsed == "wrong":
        yield "An answer in which no option, or more than one, is found counts as wrong."
    else:
        yield "Answers are judged by the rules of lmms-eval's task, its random guesses included."
    for run in setup.runs:
        told = f"{latex(run['answerer'])} with {latex(run['method'])} at {run['budget']} frames"
        yield f"The row of {told} is a finished run of others, judged in the same way."


def _statistics(setup: Setup) -> Iterator[str]:
    from framesift.tables.statistics import CONFIDENCE, RESAMPLES

    share = f"{100 * CONFIDENCE:g}\\,\\%"
    yield (
        rf"Intervals ({share}) are expanded percentiles~\cite{{hesterberg2015bootstrap}} of {_count(RESAMPLES)}"
        r" bootstrap resamples of whole videos~\cite{field2007bootstrap}; those of accuracies are at least as wide as"
        r" Wilson's~\cite{wilson1927interval}."
    )
    if setup.baseline is not None:
        yield (
            f"Differences are to {_code(setup.baseline)}, on the questions that both answered. They are tested by the"
            r" exact two-sided McNemar test~\cite{mcnemar1947test} and by an exact test that flips the signs of whole"
            r" videos~\cite{canay2017randomization}; the larger $p$-value is corrected by Holm's"
            r" procedure~\cite{holm1979procedure} among the methods of one answerer and budget."
        )
    yield f"The seed of all random draws is {setup.seed}."


def _tools(setup: Setup) -> Iterator[str]:
    def version(name: str) -> str:
        return f" {latex(setup.versions[name])}" if name in setup.versions else ""

    yield (
        rf"Questions are asked with the tasks of lmms-eval{version('lmms-eval')}~\cite{{zhang2025lmmseval}}, models run"
        rf" on transformers{version('transformers')}~\cite{{wolf2020transformers}}, and all steps are run by"
        rf" Framesift~\cite{{framesift}} on Snakemake{version('snakemake')}~\cite{{moelder2021snakemake}}."
    )
