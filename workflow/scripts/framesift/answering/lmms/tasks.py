"""Tasks of lmms-eval derived from its built-in ones: the same questions with our frames, judged later.

A derived task has the text and the generation settings of its built-in task. Its documents and frames are ours, and
subtitles may precede the text. It has no metric: judging needs all answers, and an evaluation has one chunk of them
(see `framesift.judging.by_task`).

lmms-eval's own reader reads the built-in yaml, but our yaml does not include it: lmms-eval would import the file of a
built-in task's functions once for each function, and the file of NExT-QA tries to download three packages each time.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from framesift.answering.lmms.startup import tasks_folder
from framesift.answering.lmms.task import ID_COLUMN
from framesift.core.errors import InputError
from framesift.data.benchmarks import LmmsTask

#: Column of a task's documents with the subtitles, as they precede the question; empty for none.
SUBTITLE_COLUMN = "framesift_subtitles"

_SETTINGS = "framesift"
_METRIC = "framesift_response"
#: Settings that a derived task replaces.
_REPLACED = (
    *("task", "group", "dataset_path", "dataset_name", "dataset_kwargs", "test_split", "process_docs", "metadata"),
    *("doc_to_visual", "doc_to_text", "doc_to_target", "process_results", "metric_list", "lmms_eval_specific_kwargs"),
)


def render_task(
    task: LmmsTask,
    documents: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    chat: bool,
    prompt: Mapping[str, str] | None = None,
) -> str:
    """Write documents and yaml of a derived task into a folder.

    Parameters
    ----------
    task : LmmsTask
        The built-in task it derives from.
    documents : sequence of dict
        At least one, each with `ID_COLUMN` and the task's columns, and optionally `SUBTITLE_COLUMN`. Other fields
        are dropped.
    folder : path
        For `TaskManager(include_path=...)`.
    chat : bool
        Whether the task is for a chat model of lmms-eval.
    prompt : dict, optional
        The task's lmms_eval_specific_kwargs; its own by default.

    Returns
    -------
    str
        The task's name.

    Raises
    ------
    InputError
        For a missing column, and for a prompt setting that the task ignores.
    """
    check_columns(task, documents)
    used = dict(task.prompt if prompt is None else prompt)
    _write_documents(task, documents, folder / "docs.parquet")
    check_prompt(task, used, documents[0])
    built_in = read_task(task.yaml)
    name = f"framesift_{Path(task.yaml).stem}"
    settings = {key: value for key, value in built_in.items() if key not in _REPLACED}
    settings |= {
        "task": name,
        "dataset_path": "parquet",
        "dataset_kwargs": {
            "data_files": {built_in["test_split"]: str(folder / "docs.parquet")},
            "cache_dir": str(folder),
        },
        "test_split": built_in["test_split"],
        "doc_to_target": ID_COLUMN,
        "lmms_eval_specific_kwargs": {"default": {_SETTINGS: {"yaml": task.yaml, "prompt": used}}},
        "metric_list": [{"metric": _METRIC, "aggregation": "bypass", "higher_is_better": True}],
        "metadata": {"version": 0.0},
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in settings.items()]  # JSON is YAML
    lines += [
        f"doc_to_visual: !function framesift.answering.lmms.task.{'frames_visual' if chat else 'frames_only'}",
        f"doc_to_text: !function {__name__}.text_of",
        f"process_results: !function {__name__}.response_of",
    ]
    (folder / f"{name}.yaml").write_text("\n".join(lines) + "\n")
    return name


def check_columns(task: LmmsTask, documents: Sequence[Mapping[str, Any]]) -> None:
    """Refuse documents without a column that the built-in task reads."""
    for column in task.columns:
        if missing := [document[ID_COLUMN] for document in documents if column not in document]:
            raise InputError(
                "is missing",
                field=f"labels: question {missing[0]}, column {column!r}",
                expected=f"the columns that lmms-eval's {task.yaml} reads: {', '.join(task.columns)}",
            )


def check_prompt(task: LmmsTask, prompt: Mapping[str, str], document: Mapping[str, Any]) -> None:
    """Refuse a prompt with a setting that has no effect: built-in tasks ignore keys they do not know."""
    text = _built_in_text(task.yaml, document, prompt)
    for key, value in prompt.items():
        if value and value not in text and text == _built_in_text(task.yaml, document, {**prompt, key: ""}):
            raise InputError(
                f"has no place in the text of lmms-eval's {task.yaml}",
                field=f"prompt: {key}",
                value=value,
                hint="its doc_to_text sets this itself, or does not know the key",
            )


def _write_documents(task: LmmsTask, documents: Sequence[Mapping[str, Any]], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # not JSON: the JSON reader of `datasets` turns texts that look like dates into dates
    known = (*task.columns, *task.optional, ID_COLUMN, SUBTITLE_COLUMN)
    columns = [column for column in known if any(column in document for document in documents)]
    rows = [{column: document.get(column) for column in columns} for document in documents]
    try:
        pq.write_table(pa.Table.from_pylist(rows), file)
    except pa.ArrowException as error:
        raise InputError(f"a column holds values of different types ({error})", field="labels") from None


# The functions that a derived yaml names, for lmms-eval to call


def text_of(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Mapping[str, Any]) -> str:
    """The `doc_to_text`: the built-in task's text, with the subtitles before it."""
    settings = lmms_eval_specific_kwargs[_SETTINGS]
    text = _built_in_text(settings["yaml"], doc, settings["prompt"])
    subtitles = doc.get(SUBTITLE_COLUMN)
    return f"{subtitles}\n{text}" if subtitles else text


def response_of(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, str]:
    """The `process_results`: the model's response."""
    return {_METRIC: results[0]}


def _built_in_text(yaml: str, document: Mapping[str, Any], prompt: Mapping[str, str]) -> str:
    try:
        return str(read_task(yaml)["doc_to_text"](document, dict(prompt)))
    except KeyError as error:
        raise InputError(
            f"lmms-eval's {yaml} needs {error}", field="prompt", value=dict(prompt), expected="all keys of its prompt"
        ) from None
    except (TypeError, AttributeError) as error:
        raise InputError(
            f"lmms-eval's {yaml} cannot put the question ({error})", field=f"labels: question {document.get(ID_COLUMN)}"
        ) from None


@cache
def read_task(yaml: str) -> dict[str, Any]:
    """The settings of a built-in task, with its functions.

    Parameters
    ----------
    yaml : str
        Its file, relative to lmms_eval/tasks.
    """
    path = tasks_folder() / yaml
    with _importable(path):
        try:
            return _load(path)
        except LookupError:
            # importing pywsd needs data of nltk; only the metric in NExT-QA's file needs pywsd
            with _without("pywsd"):
                return _load(path)


def _load(path: Path) -> dict[str, Any]:
    from lmms_eval.utils import load_yaml_config

    try:
        settings: dict[str, Any] = load_yaml_config(yaml_path=str(path), mode="full")
    except ImportError as error:
        raise InputError(
            f"lmms-eval's task cannot be used here ({error})", file=path, hint="envs/ lists what evaluation needs"
        ) from error
    return settings


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make imports of a module fail, as if it were not installed."""
    known = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == module}
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
        sys.modules.update(known)


@contextmanager
def _importable(yaml: Path) -> Iterator[None]:
    """Let lmms-eval import the functions of a task, without the downloads that some files start when imported.

    Two files also need HF_HOME, as the folder of videos that nothing reads here; it is set to its default.
    """
    import huggingface_hub.constants
    from loguru import logger

    functions = yaml.with_name("utils.py")
    nltk: Any = None
    if functions.is_file() and "nltk" in functions.read_text(encoding="utf-8"):
        try:
            nltk = importlib.import_module("nltk")
        except ImportError:
            nltk = None
    download, home = getattr(nltk, "download", None), os.environ.get("HF_HOME")
    os.environ["HF_HOME"] = home or str(huggingface_hub.constants.HF_HOME)
    if nltk:
        nltk.download = lambda *arguments, **options: False
    logger.disable(functions.stem)  # lmms-eval imports the file by this name
    try:
        yield
    finally:
        logger.enable(functions.stem)
        if nltk:
            nltk.download = download
        del os.environ["HF_HOME"]
        if home is not None:
            os.environ["HF_HOME"] = home
