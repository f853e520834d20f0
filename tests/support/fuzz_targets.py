"""Everything that reads what users or strangers wrote, each with a strategy of hostile input.

A target takes one input and a folder of its own. It may refuse the input with an InputError; anything else that it
raises is a fault of the product.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import logging
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st

from framesift.answering.answer_file import read_answers
from framesift.config.load import load_config, read_config
from framesift.core.components import build, kinds
from framesift.core.errors import InputError
from framesift.core.spec import canonical_json
from framesift.data.benchmarks import reader_of
from framesift.data.evidence import read_evidence
from framesift.data.labels import convert
from framesift.data.questions import Question, read_questions
from framesift.data.subtitles import block_of, cut, offset_of, read_subtitles
from framesift.interop.aks_lists import select_lists
from framesift.interop.aks_scores import from_lists
from framesift.interop.selections import (
    from_aks,
    from_kfs_bench,
    from_wfs_sb,
    selection_of_frames,
    selection_of_times,
)
from framesift.judging.imported_runs import read_run, run_facts
from framesift.judging.option_parser import parse_letter
from framesift.judging.verdict_file import read_judged
from framesift.program.read_spec import read_spec
from framesift.remote import hub
from framesift.remote.archives import Archive, read_index
from framesift.remote.chat_api import ChatApi, ChatClient
from framesift.remote.hub import RemoteFile, Repo
from framesift.scoring.embedding_table import Embeddings, write_embeddings
from framesift.scoring.score_table import QuestionScores, computed_on, read_scores, write_scores
from framesift.selection.select_frames import read_selection, write_selection
from framesift.storage.files import write_json
from framesift.storage.journal import Journal, to_line
from framesift.video.table import Video, read_videos, write_videos
from hostile import as_json, damaged, json_files, mutated
from project import ROOT


@dataclass(frozen=True)
class Target:
    """What is tried with what; `share` is its part of all inputs. Some take whatever there is."""

    run: Callable[[Any, Path], object]
    inputs: st.SearchStrategy[Any]
    share: float = 1.0
    refuses: bool = True


# Labels

OPTIONS = ["A. red", "B. green", "C. blue", "D. none"]
RECORDS: dict[str, dict[str, Any]] = {
    "videomme": {
        "question_id": "001-1", "videoID": "abc", "question": "Which?", "options": OPTIONS, "answer": "A",
        "duration": "short", "domain": "Life", "task_type": "OCR", "sub_category": "x",
    },
    "longvideobench": {
        "id": "q_0", "video_path": "v.mp4", "video_id": "v", "question": "Which?", "question_category": "S2E",
        "candidates": ["red", "green"], "correct_choice": 1, "duration_group": 60, "topic_category": "x",
        "duration": 61.2, "subtitle_path": "v_en.json", "position": [3, 9], "starting_timestamp_for_subtitles": 3,
    },
    "mlvu": {
        "question_id": "TR-1", "video_name": "v.mp4", "question": "Which?\n(A) red\n(B) green",
        "candidates": ["red", "green"], "answer": "A", "task_type": "topic_reasoning", "duration": 12.5,
    },
    "egoschema": {
        "video_idx": "v1", "question_idx": "7", "question": "Which?", "option": OPTIONS, "answer": "2",
    },
    "lvbench": {
        "uid": "11", "video_path": "v.mp4", "question": "Which?\n(A) a\n(B) b\n(C) c\n(D) d", "answer": "B",
        "type": "sport", "question_type": ["reasoning"], "time_reference": "00:15-01:02:10",
    },
    "nextqa": {
        "video": 12, "qid": 3, "question": "which", "type": "CW", "answer": 2, "a0": "a", "a1": "b", "a2": "c",
        "a3": "d", "a4": "e",
    },
    "nextqa_oe": {
        "video": 12, "qid": 3, "question": "which", "type": "CW", "answer": "red", "additional_ref_answer": "blue",
    },
    "activitynetqa": {
        "question_id": "v_1", "video_name": "v", "question": "which", "answer": "yes", "type": "3",
    },
    "custom": {
        "question": "Which?", "options": '["red", "green"]', "answer": "A", "video": "v.mp4", "span": "[[1, 2.5]]",
        "kind": "x",
    },
}  # fmt: skip
CUSTOM = {"columns": {"evidence": "span", "groups": ["kind"]}}


def _dataset(kind: str) -> Any:
    return reader_of({"kind": kind, **(CUSTOM if kind == "custom" else {})})


def _records(kind: str) -> list[dict[str, Any]]:
    first = RECORDS[kind]
    ids = {name: "2" for name in ("question_id", "id", "uid", "qid", "video_idx") if name in first}
    return [first, {**first, **(ids or {"question": "Which else?"})}]


def _as_parquet(records: Any) -> bytes:
    with io.BytesIO() as file:
        try:
            pq.write_table(pa.Table.from_pylist(records), file)
        except (pa.ArrowException, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
            return as_json(records)
        return file.getvalue()


def _as_lines(records: Any) -> bytes:
    return b"\n".join(map(as_json, records)) if isinstance(records, list) else as_json(records)


def _as_csv(records: Any) -> bytes:
    rows = [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
    lines = [rows[0].keys(), *(row.values() for row in rows)] if rows else []
    quoted = (",".join('"' + str(one)[:9000].replace('"', '""') + '"' for one in line) for line in lines)
    return "\n".join(quoted).encode("utf-8", errors="surrogateescape" if rows else "strict")


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=1)


def _safe(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """The bytes of a value, or another form of it where this one cannot be written."""

    def written(value: Any) -> bytes:
        try:
            return write(value)
        except (UnicodeEncodeError, RecursionError, ValueError):
            return as_json(value)

    return written


FORMATS: dict[str, Callable[[Any], bytes]] = {
    "json": as_json,
    "jsonl": _as_lines,
    "csv": _safe(_as_csv),
    "parquet": _as_parquet,
    "json.gz": lambda records: _packed(as_json(records)),
}


def _label_files(kind: str) -> st.SearchStrategy[tuple[str, bytes]]:
    def files(suffix: str) -> st.SearchStrategy[tuple[str, bytes]]:
        write, valid = FORMATS[suffix], _records(kind)
        changed = mutated(valid).map(write)
        content = st.one_of(changed, changed, changed, damaged(write(valid)))
        return content.map(lambda made: (suffix, made))

    return st.one_of(*map(files, FORMATS))


def _convert(kind: str, given: tuple[str, bytes], folder: Path) -> None:
    suffix, content = given
    path = folder / f"labels.{suffix}"
    path.write_bytes(content)
    dataset = _dataset(kind)
    records = convert(dataset, path)
    write_json(folder / "converted.json", records)
    for record, question in zip(records, read_questions(folder / "converted.json"), strict=True):
        dataset.document(record, question)
        offset_of(record)


# Selections, scores, videos, answers

QUESTIONS = [
    Question(question_id=f"q{k}", video_id=f"v{k // 2}", question=f"Which {k}?", options=("red", "green"), answer="A",
             seconds=60.0)
    for k in range(4)
]  # fmt: skip
VIDEOS = {
    name: Video(name, "x.mp4", fps=30.0, n_frames=1800, duration=60.0, complete=True, frames=list(range(0, 1800, 30)),
                stamps=list(range(60)), times=[float(t) for t in range(60)], keyframes=[0])
    for name in ("v0", "v1")
}  # fmt: skip
LISTS = [[30 * k, 30 * k + 60, 300, 330.0] for k in range(4)]


@functools.cache
def _bytes_of(kind: str, folder: Path) -> bytes:
    """A valid file of a kind."""
    path = folder / f"valid-{kind}"
    match kind:
        case "scores":
            rows = [QuestionScores(q.question_id, q.video_id, None, [0, 30], [0.5, 0.25]) for q in QUESTIONS]
            write_scores(path, rows, {"kind": "x"}, "cpu")
        case "videos":
            write_videos(path, VIDEOS.values(), {})
        case "embeddings":
            queries = {q.question_id: np.ones(3, dtype=np.float32) for q in QUESTIONS}
            write_embeddings(path, {"v0": {"file": str(path)}, "v1": {"error": "none"}}, queries, {})
        case "selection":
            write_selection(
                path, selection_of_frames({q.question_id: [30, 60] for q in QUESTIONS}, QUESTIONS, VIDEOS), {}
            )
    return path.read_bytes()


def _alone(path: Path, content: bytes) -> Path:
    """A file without a checksum."""
    path.write_bytes(content)
    path.with_name(f".{path.name}.sha256").unlink(missing_ok=True)
    return path


def _table(kind: str, columns: dict[str, Any]) -> st.SearchStrategy[Callable[[Path], bytes]]:
    """Parquet files of wild layouts, and damaged ones of the true layout."""
    wild = mutated([columns, columns]).map(lambda rows: lambda folder: _as_parquet(rows))
    broken = st.integers(0, 2**32).map(lambda seed: functools.partial(_broken, kind, seed))
    return st.one_of(wild, broken)


def _broken(kind: str, seed: int, folder: Path) -> bytes:
    """A valid file with a few bytes exchanged, or cut short."""
    rng = np.random.default_rng(seed)
    content = bytearray(_bytes_of(kind, folder))
    for _ in range(rng.integers(1, 5)):
        content[rng.integers(len(content))] = rng.integers(256)
    return bytes(content[: rng.integers(len(content))] if rng.random() < 0.2 else content)


def _read_table(read: Callable[[Path], object], made: Callable[[Path], bytes], folder: Path) -> None:
    read(_alone(folder / "table.parquet", made(folder)))


def _read_scores(path: Path) -> None:
    read_scores(path)
    computed_on(path)


def _read_embeddings(path: Path) -> None:
    embeddings = Embeddings([path])
    embeddings.query("q0")
    embeddings.error("v0")


def _released(layout: str, content: bytes, folder: Path) -> None:
    path = _alone(folder / "selection.json", content)
    if layout == "kfs_bench":
        times = from_kfs_bench(path, QUESTIONS)
        selection = selection_of_times(times, QUESTIONS, VIDEOS)
        without = functools.partial(selection_of_times, times, QUESTIONS)
    else:
        frames = (
            from_aks(path, QUESTIONS) if layout == "aks" else from_wfs_sb(path, WFS_QUESTIONS, _dataset("videomme"))
        )
        questions = QUESTIONS if layout == "aks" else WFS_QUESTIONS
        videos = VIDEOS if layout == "aks" else {"abc": VIDEOS["v0"]}
        without = functools.partial(selection_of_frames, frames, questions, None, evenly_filled=True)
        selection = selection_of_frames(frames, questions, videos)
    for made in (selection, without()):
        write_selection(folder / "ours.json", made, {})
        read_selection(folder / "ours.json")


WFS_RECORDS = [{**record, "keyframe_indices": [0, 30, 90, 120, 180, 210, 240, 300]} for record in _records("videomme")]
WFS_QUESTIONS = [_dataset("videomme").question(record) for record in WFS_RECORDS]
KFS_RECORDS = [{"id": question.question_id, "frame_timestamps": [1.0, 2.5]} for question in QUESTIONS]


def _outscores(pair: tuple[bytes, bytes], folder: Path) -> None:
    scores, frames = (_alone(folder / name, content) for name, content in zip(("s.json", "f.json"), pair, strict=True))
    select_lists(scores, frames, build("selectors", {"kind": "aks"}), 2, 0)
    write_scores(folder / "scores.parquet", from_lists(scores, frames, QUESTIONS).values(), {})


def _json_reader(read: Callable[[Path], object], content: bytes, folder: Path) -> None:
    read(_alone(folder / "content.json", content))


SELECTION = {
    "made_by": {},
    "questions": {
        "q0": {"video_id": "v0", "error": None, "note": None, "frames": [0], "times": [0.0], "candidates": 9}
    },
}
ANSWERS = {
    "made_by": {},
    "questions": {"q0": {"video_id": "v0", "response": "A", "frames_given": [0], "times_given": [0.0], "pixels": "ab",
                         "usage": {"retries": 0}, "seconds": 0.5}},
}  # fmt: skip
JUDGED = {
    "made_by": {},
    "cells": {"c": {"metric": "m", "value": 0.5, "questions": {"q0": {"answer": "A", "parsed": "A", "correct": True}}}},
}
CONVERTED = [{"normalised": question.model_dump(mode="json")} for question in QUESTIONS]
EVIDENCE = {"q0": {"kind": "one_moment", "spans": [[0.5, 2]], "frames": []}, "q1": {"kind": "x", "frames": [3]}}
SCENES = "id,scene_id,start,end,video\nq0,1,00:00:01,00:00:04,v\nq0,2,1:05,1:09,v\nq1,1,0:01,0:02,v\n"


def _scenes(content: bytes, folder: Path) -> None:
    path = folder / "scenes.csv"
    path.write_bytes(content)
    read_evidence(path)


# Runs of lmms-eval

SAMPLES = [
    {"doc_id": k, "input": f"Which {k}?\nA. red\nB. green", "filtered_resps": ["A"], "target": "A",
     **({"videomme_perception_score": {"question_id": f"q{k}", "pred_answer": "A"}} if k % 2 else {})}
    for k in range(4)
]  # fmt: skip
RESULTS = {
    "results": {"videomme": {"acc,none": 50.0, "acc_stderr,none": "N/A"}},
    "config": {"model": "m", "model_args": "x=1"},
    "date": "20260101",
}


def _run_of_lmms_eval(given: tuple[str, bytes], folder: Path) -> None:
    what, content = given
    path = folder / what
    path.write_bytes(content)
    if what == "results.json":
        write_json(folder / "facts.json", run_facts(path))
    else:
        answers = read_run(path, QUESTIONS)
        write_json(folder / "answers.json", {name: answer.model_dump() for name, answer in answers.items()})


def _journal(content: bytes, folder: Path) -> None:
    for old in folder.glob("*.jsonl"):
        old.unlink()
    (folder / "a.jsonl").write_bytes(content)
    journal = Journal(folder, "b")
    journal.get("k")
    journal.add("k", {"x": 1})
    journal.close()
    assert Journal(folder, "c").get("k") == {"key": "k", "x": 1}


LINES = to_line({"key": "a", "response": "A", "frames": [1, 2]}) + to_line({"key": "b", "response": "é"})

# Subtitles, answers of models, replies of servers

SRT = (
    "1\n00:00:01,000 --> 00:00:02,500\nHello <i>you</i>\n\n"
    "2\n0:01:03.5 --> 0:01:05.0\n{\\an8}two\nlines\n3\n1:00 --> 1:02\nx\n"
)
SPOKEN = [
    {"timestamp": [1.0, 2.5], "text": "Hello"},
    {"start": "00:00:01", "end": "00:00:02.5", "line": "x"},
    {"start": "1:00", "end": None, "line": "y"},
]


def _subtitles(given: tuple[str, bytes], folder: Path) -> None:
    suffix, content = given
    path = folder / f"a{suffix}"
    path.write_bytes(content)
    cut(read_subtitles(path), 1.0, 3.0)
    read_subtitles.__globals__["_read_once"].cache_clear()
    block_of(path, [1.0, 2.0]).encode()


WORDS = st.sampled_from(
    [
        "A",
        "B",
        "b.",
        "(C)",
        "[D]",
        "**A**",
        "the answer is",
        "Answer:",
        "final answer:",
        "<think>",
        "</think>",
        "<answer>",
    ]
    + [
        "</answer>",
        "\\boxed{",
        "}",
        "not",
        "red",
        "a red car",
        "option",
        "I choose",
        "is correct",
        "because",
        "\n",
        ". ",
        ",",
    ]
    + ["<analysis>", "or", "and", "I", "wrong", "doubt", "-", "\u2003", "ſ", "K", "\x00", "$", "’", "A" * 50, " " * 50]
)
RESPONSES = st.one_of(st.lists(WORDS, max_size=30).map(" ".join), st.lists(WORDS, max_size=30).map("".join), st.text())
CHOICES = st.lists(st.one_of(st.sampled_from(["red", "a red car", "A", "b", "", "I", "(A) x"]), st.text(max_size=9)),
                   min_size=2, max_size=26)  # fmt: skip


def _parse(given: tuple[str, list[str], int], folder: Path) -> None:
    response, options, times = given
    letters = [chr(ord("A") + position) for position in range(len(options))]
    assert parse_letter(response * times, letters, options) in (None, *letters)


REPLY = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 1},
}
REFUSAL = {"error": {"message": "no such model", "code": "content_filter", "type": "x"}}
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "retry-after": st.sampled_from(
            [
                "0",
                "-1",
                "nan",
                "inf",
                "1e400",
                "soon",
                "Thu, 01 Jan 1970 00:00:00 GMT",
                ",",
                "9" * 400,
                "Wed, 21 Oct 99999999 07:28:00 GMT",
                "Wed, 21 Oct 2099 07:28:00 +99999999",
            ]
        ),
        "content-type": st.sampled_from(["application/json", "text/html; charset=utf-16", "x; charset=nonsense", ""]),
        "content-encoding": st.sampled_from(["gzip", "deflate", "identity"]),
    },
)


@functools.cache
def _client() -> ChatClient:
    return ChatClient(ChatApi(model="m", base_url="http://127.0.0.1:9/v1", max_retries=0, price_in=1.5, price_out=2))


def _reply(given: tuple[int, dict[str, str], bytes], folder: Path) -> None:
    status, headers, content = given

    def answered(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(content))

    client = _client()
    client._http = httpx2.AsyncClient(transport=httpx2.MockTransport(answered), trust_env=False)
    made = client.complete([{"role": "user", "content": "?"}])
    write_json(folder / "reply.json", {"text": made.text, "usage": made.usage})


HUB_FILE = b"0123456789" * 200
HUB_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "content-range": st.sampled_from(
            ["bytes 500-999/2000", "bytes 0-1999/2000", "bytes 500-", "bytes */2000", "bytes 9-1/x", "", "bytes 5", "é"]
        ),
        "content-encoding": st.sampled_from(["gzip", "deflate", "zstd", "identity", "x"]),
        "content-length": st.sampled_from(["0", "500", "-1", "9" * 30, "x"]),
        "location": st.sampled_from(["/", "http://127.0.0.1:9/x", "file:///etc/passwd", "http://[", "\\\\x"]),
        "x-error-code": st.sampled_from(["EntryNotFound", "GatedRepo", "RepoNotFound", "RevisionNotFound", "x"]),
        "x-error-message": st.sampled_from(["x" * 5000, "\x1b[2J"]),
        "retry-after": st.sampled_from(["-1", "nan", "soon", "Wed, 21 Oct 99999999 07:28:00 GMT"]),
        "ratelimit": st.sampled_from(['"api";r=0;t=1', '"api";r=0;t=x', ";;"]),
    },
)


def _hub_reply(given: tuple[int, dict[str, str], bytes], folder: Path) -> None:
    """A piece of a file, and the whole of it, from a server that answers as it likes."""
    status, headers, content = given

    def answered(request: httpx2.Request) -> httpx2.Response:
        encoded = {name: value.encode() for name, value in headers.items()}
        return httpx2.Response(status, headers=encoded, stream=httpx2.ByteStream(content))

    def client() -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(answered), follow_redirects=True)

    file = RemoteFile("a.mp4", len(HUB_FILE), f"sha256:{hashlib.sha256(HUB_FILE).hexdigest()}")
    repo, target = Repo("someone/x", "0" * 40), folder / "a.mp4"
    huggingface_hub.set_client_factory(client)
    try:
        with mock.patch.object(hub, "ATTEMPTS", 2), mock.patch("time.sleep"):
            try:
                with repo.open(file) as stream:
                    stream.seek(500)
                    assert len(stream.read(500)) == 500
            except hub.NoRangesError:
                pass
            repo.download(file, target)
            assert target.read_bytes() == HUB_FILE
    finally:
        huggingface_hub.set_client_factory(huggingface_hub.utils._http.default_client_factory)
        for left in folder.glob("*a.mp4*"):
            left.unlink()


# Configuration


@functools.cache
def _configuration() -> dict[str, Any]:
    """The configuration that comes with the project, and one of every kind of component."""
    settings = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    pinned = {"revision": "0" * 40}
    settings["selectors"] |= {f"one_{kind}": {"kind": kind} for kind in kinds("selectors") if kind != "imported"}
    settings["scorers"]["one"] = {"kind": "clip", "model": "someone/model", **pinned, "batch_size": 8}
    settings["answerers"]["one"] = {"kind": "openai_api", "model": "m", "base_url": "http://localhost:8000/v1",
                                    "extra": {"a": [1, {"b": None}]}}  # fmt: skip
    settings["datasets"]["one"] = {"kind": "custom", "data_dir": "data/x", "labels": "x.csv", "groups": {"a": ["b"]}}
    return settings


def _load(raw: Any, folder: Path) -> None:
    if isinstance(raw, dict):  # which Snakemake sees to
        canonical_json(load_config(raw).model_dump())


YAML = """\
seed: 0
tables: &t
  a: {dataset: d, selectors: [uniform], answerers: [m], budgets: [4]}
datasets:
  d: {kind: videomme, data_dir: data/x, limit: 3, groups: {duration: [short]}}
answerers:
  m: {kind: openai_api, model: x, extra: {a: 1}}
selectors: {uniform: {kind: uniform}}
"""
YAML_PARTS = st.sampled_from(
    [b"*t", b"&t ", b"<<: *t\n", b"!!python/object/apply:os.system [x]", b"!!binary aGk=", b"!!set {a}", b"2024-13-01"]
    + [
        b"2024-01-01",
        b"!!timestamp x",
        b".nan",
        b".inf",
        b"0x" + b"f" * 300,
        b"1" * 5000,
        b"[" * 300,
        b"{a: " * 300,
        b"? ",
    ]
    + [
        b"\x00",
        b"\xff",
        b"\t",
        b"---\n",
        b"!!int x",
        b"1:30",
        b"'",
        b"a: &a [*a]\n",
        b"\xef\xbb\xbf",
        b"seed: 0\n",
        b"~",
        b"!x ",
    ]
)


@st.composite
def _yaml_files(draw: Any) -> bytes:
    content = YAML.encode()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(YAML_PARTS) + content[place + draw(st.integers(0, 20)) :]
    return content


def _read_yaml(content: bytes, folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_bytes(content)
    canonical_json(read_config(path).model_dump())


def _spec(content: bytes, folder: Path) -> None:
    (folder / "spec.json").write_bytes(content)
    read_spec(f"@{folder / 'spec.json'}")


def _component(given: tuple[str, Any], folder: Path) -> None:
    family, spec = given
    if isinstance(spec, dict):
        canonical_json(build(family, spec).spec())


COMPONENTS = st.one_of(
    *(
        st.tuples(st.just(family), mutated(spec))
        for family, spec in (
            ("selectors", {"kind": "aks", "max_depth": 5}),
            ("selectors", {"kind": "wfs_sb"}),
            ("scorers", {"kind": "clip", "model": "./x"}),
            ("datasets", {"kind": "videomme", "limit": 3, "groups": {"duration": ["short"]}}),
            ("answerers", {"kind": "openai_api", "model": "m", "extra": {}, "temperature": 0}),
        )
    )
)

# Archives


@functools.cache
def _archive(form: str) -> bytes:
    with io.BytesIO() as file:
        if form == "zip":
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
                packed.writestr("data/a.mp4", b"video " * 50)
                packed.writestr(zipfile.ZipInfo("b.mp4"), b"stored", zipfile.ZIP_STORED)
                packed.writestr("é/c.srt", b"x" * 200, zipfile.ZIP_BZIP2)
                packed.writestr("d.srt", b"x" * 200, zipfile.ZIP_LZMA)
        else:
            kind = {"tar": tarfile.PAX_FORMAT, "gnu.tar": tarfile.GNU_FORMAT}[form]
            with tarfile.open(fileobj=file, mode="w", format=kind) as unpacked:
                for name in ("a.mp4", "long/" + "x" * 150 + ".mp4", "é.srt"):
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.pax_headers = 300, {"comment": "é"}
                    unpacked.addfile(entry, io.BytesIO(b"y" * 300))
        return file.getvalue()


def _unpack(given: tuple[str, bytes], folder: Path) -> None:
    form, content = given
    name, stream = f"x.{form}", io.BytesIO(content)
    members = read_index(stream, name)
    archive = Archive(stream, name)
    for member in members[:5]:
        try:
            archive.extract(member, folder / "taken" / "out")
        except InputError:
            continue
    assert not (folder / "taken").is_dir() or {path.name for path in (folder / "taken").iterdir()} <= {"out"}


def _quiet(run: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(run)
    def called(*arguments: Any) -> object:
        logging.disable(logging.ERROR)
        try:
            return run(*arguments)
        finally:
            logging.disable(logging.NOTSET)

    return called


def _pair(valid: Any) -> st.SearchStrategy[tuple[bytes, bytes]]:
    whole = st.just(as_json(valid))
    return st.one_of(st.tuples(json_files(valid), whole), st.tuples(whole, json_files(valid)))


SCORES_ROW = {"question_id": "q", "video_id": "v", "error": None, "frames": [0, 1], "scores": [0.5, 1.0]}
#: Input that is as it should be, for targets of which it is known in full; what is hostile is made of it.
VALID: dict[str, Any] = {
    **{f"labels: {kind}": ("json", as_json(_records(kind))) for kind in RECORDS},
    "labels: converted": as_json(CONVERTED),
    "evidence": as_json(EVIDENCE),
    "scenes": SCENES.encode(),
    "selections": as_json(SELECTION),
    "released: aks": as_json(LISTS),
    "released: wfs_sb": as_json(WFS_RECORDS),
    "released: kfs_bench": as_json(KFS_RECORDS),
    "outscores": (as_json(LISTS), as_json(LISTS)),
    "scores": functools.partial(_bytes_of, "scores"),
    "videos": functools.partial(_bytes_of, "videos"),
    "embeddings": functools.partial(_bytes_of, "embeddings"),
    "answers": as_json(ANSWERS),
    "verdicts": as_json(JUDGED),
    "runs: samples": ("s.jsonl.gz", _packed(_as_lines(SAMPLES))),
    "runs: results": ("results.json", as_json(RESULTS)),
    "journal": LINES,
    "subtitles": (".srt", SRT.encode()),
    "answer parser": ("B. green", ["red", "green"], 1),
    "replies": (200, {}, as_json(REPLY)),
    "replies of the hub": (200, {}, HUB_FILE),
    "configuration: YAML": YAML.encode(),
    "components": ("selectors", {"kind": "aks"}),
    "specs": as_json({"kind": "aks"}),
    "archives": ("zip", _archive("zip")),
}
VIDEO_ROW = {name: getattr(VIDEOS["v0"], name) for name in ("video_id", "path", "fps", "n_frames", "complete", "times")}

#: By name.
TARGETS: dict[str, Target] = {
    **{f"labels: {kind}": Target(functools.partial(_convert, kind), _label_files(kind)) for kind in RECORDS},
    "labels: converted": Target(functools.partial(_json_reader, read_questions), json_files(CONVERTED)),
    "evidence": Target(functools.partial(_json_reader, read_evidence), json_files(EVIDENCE)),
    "scenes": Target(_scenes, st.one_of(damaged(SCENES.encode()), mutated([{"id": "q", "scene_id": "1", "start": "0:01",
                                        "end": "0:02"}]).map(FORMATS["csv"]))),
    "selections": Target(functools.partial(_json_reader, read_selection), json_files(SELECTION)),
    **{
        f"released: {layout}": Target(functools.partial(_released, layout), json_files(valid))
        for layout, valid in (("aks", LISTS), ("wfs_sb", WFS_RECORDS), ("kfs_bench", KFS_RECORDS))
    },
    "outscores": Target(_outscores, _pair(LISTS)),
    "scores": Target(functools.partial(_read_table, _read_scores), _table("scores", SCORES_ROW)),
    "videos": Target(functools.partial(_read_table, read_videos), _table("videos", VIDEO_ROW)),
    "embeddings": Target(functools.partial(_read_table, _read_embeddings), _table("embeddings", {})),
    "answers": Target(functools.partial(_json_reader, read_answers), json_files(ANSWERS)),
    "verdicts": Target(functools.partial(_json_reader, read_judged), json_files(JUDGED)),
    "runs: samples": Target(
        _run_of_lmms_eval,
        st.one_of(
            *(
                st.one_of(mutated(SAMPLES).map(_as_lines), damaged(_as_lines(SAMPLES))).map(
                    lambda content, name=name, packed=packed: (name, packed(content))
                )
                for name, packed in (("s.jsonl", bytes), ("s.jsonl.gz", _packed))
            ),
            damaged(_packed(_as_lines(SAMPLES))).map(lambda content: ("s.jsonl.gz", content)),
        ),
    ),
    "runs: results": Target(_run_of_lmms_eval, json_files(RESULTS).map(lambda content: ("results.json", content))),
    "journal": Target(_journal, st.one_of(damaged(LINES), mutated([json.loads(line) for line in LINES.splitlines()])
                                          .map(_as_lines)), 0.5, refuses=False),
    "subtitles": Target(
        _subtitles,
        st.one_of(
            damaged(SRT.encode()).map(lambda content: (".srt", content)),
            json_files(SPOKEN).map(lambda content: (".json", content)),
        ),
        refuses=False,
    ),
    "answer parser": Target(_parse, st.tuples(RESPONSES, CHOICES, st.sampled_from((1, 1, 1, 40))), 2.0, refuses=False),
    "replies": Target(
        _reply,
        st.one_of(
            st.tuples(st.just(200), HEADERS, json_files(REPLY)),
            st.tuples(st.sampled_from((100, 204, 301, 400, 401, 404, 413, 429, 500)), HEADERS, json_files(REFUSAL)),
        ),
    ),
    "replies of the hub": Target(
        _hub_reply,
        st.tuples(
            st.sampled_from((200, 206, 206, 204, 302, 401, 403, 404, 416, 429, 500)),
            HUB_HEADERS,
            st.one_of(st.just(HUB_FILE), st.just(HUB_FILE[500:1000]), damaged(HUB_FILE), st.binary(max_size=3000)),
        ),
        0.5,
    ),
    "configuration": Target(_load, st.deferred(lambda: mutated(_configuration())), 1.0),
    "configuration: YAML": Target(_read_yaml, _yaml_files()),
    "components": Target(_component, COMPONENTS),
    "specs": Target(_spec, json_files({"kind": "aks", "threshold": 0.5})),
    "archives": Target(
        _unpack,
        st.one_of(
            *(damaged(_archive(form)).map(lambda content, form=form: (form.split(".")[-1], content))
              for form in ("zip", "tar", "gnu.tar"))
        ),
    ),
}  # fmt: skip


def attempt(name: str, given: Any, folder: Path) -> bool:
    """Try one input; whether it was accepted. Everything but an InputError is raised."""
    try:
        _quiet(TARGETS[name].run)(given, folder)
    except InputError as error:
        if len(str(error)) > 10_000:
            raise AssertionError("the message is too long") from error
        return False
    return True
