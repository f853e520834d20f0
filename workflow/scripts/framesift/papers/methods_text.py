"""A paragraph for the experimental section of a paper: how a table was made, and what to cite for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from framesift.core.components import Component, Work, implementation, kinds
from framesift.core.errors import validated
from framesift.tables.markdown_latex import LATEX

#: The parts of a setup that hold components by name.
_NAMED = ("selectors", "scorers", "answerers")


class Setup(BaseModel):
    """What decides the numbers of a table, by the names that the table shows. `setup_of` makes one.

    A component is described by its spec, with `work` for its title and the works to cite; without `work`, by its class.
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
        return {components[name].label or name: _described(components[name]) for name in names}

    return {
        "dataset": _described(dataset),
        "in_form_of": not dataset.download and dataset.labels != type(dataset).model_fields["labels"].default,
        "candidates": config.candidates.spec(),
        "decoder": config.decoder,
        "budgets": list(table.budgets),
        "selectors": labelled(config.selectors, table.selectors),
        "scorers": labelled(config.scorers, table.scorers) if needs_scorers else {},
        "encoder": _described(encoder) if encoder else None,
        "own_embeddings": encoder is None and any(one.needs_embeddings for one in selectors),
        "answerers": {answerer_label(config, name): _described(config.answerers[name]) for name in table.answerers},
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


def _described(component: Component) -> dict[str, Any]:
    """The spec of a component, and all that a text says about its kind."""
    spec = component.spec()
    title, cites = component.work(spec)
    entries = {"bibtex": component.bibtex} if component.bibtex else {}
    return spec | {"work": {"title": title, "cites": list(cites)} | entries}


def work_of(family: str, spec: Mapping[str, Any]) -> Work:
    """Title and works of a component, given its spec: as `setup_of` wrote them, else as its class says.

    Raises
    ------
    InputError
        For an unknown kind.
    """
    if work := spec.get("work"):
        return Work(work["title"], tuple(work["cites"]))
    return implementation(family, str(spec.get("kind"))).work(spec)


def own_entries(spec: Mapping[str, Any]) -> list[str]:
    """The BibTeX entries that the components of a setup bring."""
    parts = [spec["dataset"], spec.get("encoder"), *(one for key in _NAMED for one in spec.get(key, {}).values())]
    return [part["work"]["bibtex"] for part in parts if part and "bibtex" in part.get("work", {})]


def answerer_label(config: Any, name: str) -> str:
    """What a text calls an answerer; a variant goes by what it is a variant of, and its own name."""
    answerer = config.answerers[name]
    own = answerer.label or name
    return own if answerer.variant_of is None else f"{answerer_label(config, answerer.variant_of)} + {own}"


def methods_text(spec: Mapping[str, Any]) -> str:
    r"""A paragraph, in LaTeX, for the experimental section of a paper: how the numbers of a table were made.

    It says what the configuration says and no more. Texts of the user and of prompts are escaped; ``\cite`` names keys
    of papers/references.bib (`framesift.papers.references`).

    Parameters
    ----------
    spec : mapping
        A `Setup`.

    Raises
    ------
    InputError
        For a spec that is not a setup, or names an unknown kind.
    """
    setup = validated(Setup, spec, "setup")
    return " ".join(
        sentence
        for part in (_data, _methods, _models, _asking, _judging, _statistics, _tools)
        for sentence in part(setup)
    )


def latex(text: Any) -> str:
    r"""A text with the special characters of LaTeX escaped; line breaks become ``\n``.

    Examples
    --------
    >>> print(latex("50 % of a_b & {c}"))
    50 \% of a\_b \& \{c\}
    """
    # \textquotedbl would need the font encoding T1, which a paper may not have
    return str(text).translate(LATEX | {ord("\n"): r"\textbackslash{}n", ord('"'): '"'})


def _code(text: Any) -> str:
    return rf"\texttt{{{latex(text)}}}"


def _cited(work: Work) -> str:
    return latex(work.title) + (rf"~\cite{{{','.join(work.cites)}}}" if work.cites else "")


def _listed(items: Sequence[str], mark: str = ",") -> str:
    return f"{mark} ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else "".join(items)


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "{,}")


#: Parameters that a text names in words, or that decide nothing.
_SAID_OTHERWISE = {
    *("kind", "work", "label", "model", "revision", "dtype", "attn_implementation", "format", "selection", "original"),
    *("scores", "commit", "folder", "base_url", "served", "localizer"),
}


def _parameters(spec: Mapping[str, Any]) -> list[str]:
    return [
        f"{_code(name.rstrip('_'))} {_value_text(value)}"
        for name, value in spec.items()
        if name not in _SAID_OTHERWISE and value is not None and value not in ({}, [], "")
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
        family = "encoders" if setup.encoder.get("kind") in kinds("encoders") else "scorers"
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
    if "churn" in setup.controls:
        yield "Two random selections of each budget show how many answers differ although neither selection is better."
    if shown := [control for control in setup.controls if control != "churn"]:
        told = _listed([_CONTROLS.get(control, _code(control)) for control in shown])
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
    from framesift.tables.statistics import CONFIDENCE, ENOUGH_VIDEOS, RESAMPLES

    share = f"{100 * CONFIDENCE:g}\\,\\%"
    yield (
        rf"Intervals ({share}) of accuracies are expanded percentiles~\cite{{hesterberg2015bootstrap}} of"
        rf" {_count(RESAMPLES)} bootstrap resamples of whole videos~\cite{{field2007bootstrap}}, and at least as wide"
        r" as Wilson's~\cite{wilson1927interval}."
    )
    if setup.baseline is not None:
        yield (
            f"Differences are to {_code(setup.baseline)}, on the questions that both answered. Their intervals are"
            r" Student's with a variance clustered by video, its bias reduced and its degrees of freedom"
            r" adjusted~\cite{bell2002bias}, given where answers changed in at least"
            f" {ENOUGH_VIDEOS} videos. Differences are tested by the"
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
