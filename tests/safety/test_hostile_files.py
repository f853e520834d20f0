"""Files that once ended in a traceback, or worse: each is refused with a message that says where and why."""

import gzip
import io
import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import framesift.storage.parquet
import framesift.storage.untrusted
from framesift.config.load import load_config, read_config
from framesift.core.errors import InputError
from framesift.data.benchmarks import VideoFolder
from framesift.data.labels import read_records
from framesift.data.subtitles import Line, offset_of, read_subtitles
from framesift.judging.imported_runs import read_run
from framesift.judging.option_parser import without_reasoning
from framesift.remote.chat_api import ChatApi
from framesift.scoring.score_table import read_scores
from framesift.storage.files import read_csv, read_json
from framesift.storage.untrusted import check_plain, parse_json, read_bytes
from fuzz_targets import LISTS, QUESTIONS, RECORDS, REPLY, SAMPLES, TARGETS, attempt
from hostile import nested

VIDEOMME = RECORDS["videomme"]


def changed(record, **fields):
    return json.dumps([record | fields]).encode()


def parquet(**columns):
    with io.BytesIO() as file:
        pq.write_table(pa.table(columns), file)
        return file.getvalue()


def label(kind="videomme", **fields):
    return f"labels: {kind}", ("json", changed(RECORDS[kind], **fields))


PACKED = gzip.compress(b"x" * 999)
DATED = b"answerers: {m: {kind: openai_api, model: x, extra: {a: 2024-01-01}}}"
REFUSED = {
    "JSON too deep for Python": (("specs", b"[" * 5000), "is not JSON .more than 64 levels deep"),
    "JSON too deep to be written": (label(domain=nested(90)), "more than 64 levels deep"),
    "a number of 5,000 digits": (("evidence", b"9" * 5000), "is not JSON"),
    "NaN in JSON": (label(domain=float("nan")), "NaN is not JSON"),
    "NaN in parquet": (("labels: videomme", ("parquet", parquet(x=[float("nan")]))), "nan is not a finite number"),
    "bytes in parquet": (("labels: videomme", ("parquet", parquet(x=[b"a"]))), "bytes is not text, a number"),
    "half a character": (label(domain="\ud800"), "half a surrogate pair"),
    "a key that stands twice": (("evidence", b'{"q": {"kind": "a"}, "q": {"kind": "b"}}'), "'q' comes twice"),
    "a column that stands twice": (("labels: custom", ("csv", b"video,video\na,b\n")), "columns have the same name"),
    "no UTF-8": (("labels: custom", ("csv", b"video\n\xff\xfe\n")), "is not UTF-8"),
    "a gzip file that is cut short": (("labels: videomme", ("json.gz", PACKED[:20])), "cannot be read"),
    "a gzip file that is damaged": (("runs: samples", ("s.jsonl.gz", PACKED[:12] + b"x" * 99)), "cannot be read"),
    "parquet that is cut short": (("labels: videomme", ("parquet", parquet(x=[1])[:-9])), "cannot be read as parquet"),
    "an infinite length": (label("mlvu", duration="1e999"), "field 'seconds'"),
    "an infinite number of an option": (label("longvideobench", correct_choice=1e400), "(NaN|Infinity) is not JSON"),
    "subtitles elsewhere": (label("longvideobench", subtitle_path="../../etc/passwd"), "a file within the folder"),
    "subtitles at a path": (label("longvideobench", subtitle_path="/etc/passwd"), "a file within the folder"),
    "subtitles with a NUL": (label("longvideobench", subtitle_path="a\0b"), "a file within the folder"),
    "subtitles of 300 letters": (label("longvideobench", subtitle_path="x" * 300), "a file within the folder"),
    "no number of seconds": (label("longvideobench", starting_timestamp_for_subtitles="soon"), "not a number of sec"),
    "a list in the place of ids": (("released: kfs_bench", b'[{"id": [], "frame_timestamps": []}]'), "not a question"),
    "a frame of 400 digits": (("released: aks", json.dumps([[10**400], [], [], []]).encode()), "is not a frame index"),
    "a score of 400 digits": (
        ("outscores", (json.dumps([[10**400] * 4] * 4).encode(), json.dumps(LISTS).encode())), "is no finite|too large"
    ),
    "labels that are a number": (("labels: converted", b"3"), "has no records"),
    "a configuration that is a list": (("configuration: YAML", b"- a\n"), "is no configuration"),
    "a date that there is not": (("configuration: YAML", b"seed: 2024-13-01\n"), "is not YAML"),
    "a tag that does not fit": (("configuration: YAML", b"seed: !!timestamp x\n"), "is not YAML"),
    "a truth that is none": (("configuration: YAML", b"seed: !!bool x\n"), "is not YAML"),
    "a long checkpoint": (("components", ("scorers", {"kind": "clip", "model": "x" * 5000})), "scorers clip: revision"),
    "a checkpoint with a NUL": (("components", ("scorers", {"kind": "clip", "model": "a\0b"})), "no folder here"),
    "a date as a setting": (("configuration: YAML", DATED), r"answerers\.m\.extra\.a: date is not text(.|\n)*hint"),
    "a cycle in YAML": (("configuration: YAML", b"a: &a [*a]\n"), "more than 64 levels deep"),
    "YAML that calls Python": (("configuration: YAML", b"a: !!python/object/apply:os.system [id]\n"), "is not YAML"),
    "an infinite number of tokens": (
        ("replies", (200, {}, json.dumps(REPLY | {"usage": {"prompt_tokens": "1" * 30}}).encode())), "did not send"
    ),
    "a reply in an encoding that fails": (
        ("replies", (200, {"content-type": "text/html; charset=utf-16"}, b"<html>")), "did not send a chat"
    ),
    "a reply that is packed badly": (("replies", (200, {"content-encoding": "gzip"}, b"x" * 50)), "asked not to"),
    "a reply of 17 MiB": (("replies", (200, {}, b" " * (17 << 20))), "more than 16 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(case, tmp_path):
    (name, given), message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        TARGETS[name].run(given, tmp_path)


def test_scores_of_another_layout_or_without_values_are_refused(tmp_path):
    right = {
        **{"question_id": ["q"], "video_id": ["v"], "error": pa.array([None], pa.string())},
        **{"frames": pa.array([[0, 1]], pa.list_(pa.int64())), "scores": pa.array([[0.5, 1]], pa.list_(pa.float32()))},
    }
    wrong = {
        "column 'scores'(.|\n)*expected: list": {"scores": pa.array([[0.5, 1]], pa.list_(pa.float64()))},
        "column 'frames'(.|\n)*missing": {"frames": None},
        "column 'more'": {"more": pa.array([1])},
        "has 2 scores and 1 frames": {"frames": pa.array([[0]], pa.list_(pa.int64()))},
        "has missing values": {"scores": pa.array([[0.5, None]], pa.list_(pa.float32()))},
    }
    for message, changes in wrong.items():
        columns = {name: column for name, column in (right | changes).items() if column is not None}
        pq.write_table(pa.table(columns), tmp_path / "scores.parquet")
        with pytest.raises(InputError, match=message):
            read_scores(tmp_path / "scores.parquet")
    pq.write_table(pa.table(right), tmp_path / "scores.parquet")
    assert read_scores(tmp_path / "scores.parquet")["q"].frames == [0, 1]


def test_small_files_that_unpack_to_large_ones_are_refused_unread(tmp_path, monkeypatch):
    packed = tmp_path / "labels.json.gz"
    packed.write_bytes(gzip.compress(b" " * 2_000_000))
    with pytest.raises(InputError, match=r"too large to be read(.|\n)*1,000,000 bytes, unpacked"):
        read_bytes(packed, 1_000_000)
    monkeypatch.setattr(framesift.storage.parquet, "MAX_ROWS", 1000)
    path = tmp_path / "labels.parquet"
    pq.write_table(pa.table({"x": pa.array([1] * 1_000_000)}), path)
    assert path.stat().st_size < 10_000
    with pytest.raises(InputError, match=r"too large to be read(.|\n)*1,000,000 rows"):
        read_records(path)


def test_parts_of_yaml_that_are_named_again_and_again_are_counted_each_time(tmp_path):
    laughs = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    laughs += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 20)]
    (tmp_path / "config.yaml").write_text("\n".join(laughs))
    begun = time.perf_counter()
    with pytest.raises(InputError, match="more than 200,000 values") as caught:
        read_config(tmp_path / "config.yaml")
    assert time.perf_counter() - begun < 20
    assert len(str(caught.value)) < 5000


def test_a_message_is_short_and_harmless_whatever_it_is_about():
    endless = ["x"]
    for _ in range(60):
        endless = [endless, endless]
    values = (endless, {"a": endless}, 10**9000, "x" * 10**6, {str(k): k for k in range(1000)}, nested(900))
    for value in values:
        assert len(str(InputError("is wrong", value=value))) < 2000
    shown = str(InputError("bad \x1b[2J \r \x00 name\nnext", file="a\x1b]0;title\x07"))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\\x1b[2J" in shown
    assert shown.endswith("name\nnext")
    assert "found: {'b': 1, 'a': [1, 2]}" in str(InputError("x", value={"b": 1, "a": [1, 2]}))


@pytest.mark.parametrize("name", ["../v", "/etc/passwd", "a\0b", "x" * 5000, "..", "", ".", "../../v.mp4", "v/../../v"])
def test_a_video_is_only_looked_for_in_its_folder(name, tmp_path):
    (tmp_path / "videos").mkdir()
    for file in ("v.mp4", "videos/w.mp4"):
        (tmp_path / file).write_bytes(b"")
    assert VideoFolder(tmp_path / "videos").find(name) is None


@pytest.mark.parametrize(
    "base_url", ["file:///etc/passwd", "ftp://x/v1", "gopher://x", "//x", "http://", "http://a b", "data:,x"]
)
def test_a_server_is_asked_by_http_and_by_nothing_else(base_url):
    with pytest.raises(ValueError, match="base_url"):
        ChatApi(model="m", base_url=base_url)


def test_a_server_cannot_send_the_key_elsewhere(monkeypatch):
    import httpx2

    from framesift.remote.chat_api import ChatClient

    monkeypatch.setenv("SOME_KEY", "secret")
    asked = []

    def answered(request):
        asked.append(str(request.url))
        return httpx2.Response(
            307, headers={"location": "http://169.254.169.254/latest/meta-data"}, stream=httpx2.ByteStream(b"")
        )

    api = ChatApi(model="m", base_url="http://server.test/v1", api_key_env="SOME_KEY", max_retries=0)
    with ChatClient(api) as client:
        client._http._transport = httpx2.MockTransport(answered)
        client._http._mounts = {}
        with pytest.raises(InputError, match="answers 307"):
            client.complete([])
    assert asked == ["http://server.test/v1/chat/completions"]


def test_texts_that_look_like_line_ends_stay_in_their_sample(tmp_path):
    sample = SAMPLES[1] | {"filtered_resps": ["A\u2028\x85B"]}
    (tmp_path / "s.jsonl").write_text(json.dumps(sample, ensure_ascii=False))
    assert read_run(tmp_path / "s.jsonl", QUESTIONS)["q1"].response == "A\u2028\x85B"


def test_numbers_that_lmms_eval_could_not_compute_are_none(tmp_path):
    name = "results.json"
    assert attempt("runs: results", (name, b'{"results": {"videomme": {"acc": NaN}}}'), tmp_path)
    assert read_json(tmp_path / "facts.json") == {"results": {"videomme": {"acc": None}}}


def test_half_a_character_in_a_reply_costs_that_character(tmp_path):
    reply = json.dumps(REPLY).replace('"A"', '"A \\ud83d"').encode()
    assert attempt("replies", (200, {}, reply), tmp_path)
    assert read_json(tmp_path / "reply.json")["text"] == "A ?"


def test_subtitles_of_huge_numbers_are_left_out_and_folders_are_none(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps([{"timestamp": [1, 2], "text": "x"}, {"timestamp": [0, 10**400], "text": "y"}])
    )
    found = read_subtitles(tmp_path / "a.json")
    assert (found.lines, found.malformed) == ((Line(1.0, 2.0, "x"),), 1)
    with pytest.raises(InputError, match="Is a directory"):
        read_subtitles(tmp_path)
    with pytest.raises(InputError, match="not a number of seconds"):
        offset_of({"starting_timestamp_for_subtitles": [1]})


def test_reasoning_of_many_opening_tags_takes_no_hours():
    text = "<think>" * 50_000
    begun = time.perf_counter()
    assert without_reasoning(text) == ""
    assert without_reasoning(text + "</think>B") == "B"
    assert time.perf_counter() - begun < 20


def test_what_is_plain_and_what_is_json():
    check_plain({"a": [1, 2.5, None, True, "é", {"b": ()}]})
    for value in (2**63, -(2**63) - 1, {1: "a"}, {"a": {"\ud800": 1}}, {"a": object()}, float("inf")):
        with pytest.raises(ValueError, match=r"text|number|bits"):
            check_plain(value)
    assert parse_json('{"a": "\\ud83d\\ude00 \\u00e9"}') == {"a": "😀 é"}
    assert parse_json("[NaN]", lenient=True) == [None]
    for text in ("[1,]", "Infinity", '{"a": 1, "a": 1}', b"\xff", '"\\udc00"'):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
    assert framesift.storage.untrusted.MAX_DEPTH == 64


def test_names_of_the_configuration_stay_file_names():
    with pytest.raises(InputError, match="tables"):
        load_config({"tables": {"../x": {}}})


def test_a_csv_file_keeps_what_spreadsheets_would_run(tmp_path):
    """Ids of videos may begin with a minus sign, and join tables: they are not changed (docs/safety.md)."""
    (tmp_path / "a.csv").write_text("id\n=1+1\n-abc\n@x\n")
    assert [row["id"] for row in read_csv(tmp_path / "a.csv")] == ["=1+1", "-abc", "@x"]
