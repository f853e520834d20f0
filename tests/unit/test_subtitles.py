"""Subtitles: files as they are found, and the lines that are shown with some frames."""

import json
import logging
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barcode
from framesift.answering.lmms.tasks import read_task
from framesift.data import subtitles
from framesift.data.subtitles import (
    HEADER,
    Line,
    Subtitles,
    block,
    block_of,
    cut,
    lines_at,
    offset_of,
    read_subtitles,
)

SRT = """1
00:00:01,000 --> 00:00:02,500
<font color="white" size=".72c">Hello &amp; welcome</font>

2
00:00:02,500 --> 00:00:04,000
two
rows

3
01:00:00,250 --> 01:00:01,000
late
"""
HELLO, ROWS, LATE = Line(1.0, 2.5, "Hello & welcome"), Line(2.5, 4.0, "two rows"), Line(3600.25, 3601.0, "late")


def written(folder, text, name="a.srt"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_subrip_file(tmp_path):
    assert read_subtitles(written(tmp_path, SRT)) == Subtitles((HELLO, ROWS, LATE))


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + SRT,
        SRT.replace("\n", "\r\n"),
        SRT.replace("\n", "\r"),
        SRT.replace(",", "."),
        SRT.replace("\n\n", "\n \n\n\n"),
        SRT.replace("\n\n", "\n"),  # entries without a blank line between them
        SRT.replace("1\n00:00", "00:00"),
        SRT.replace("00:00:01,000", "00:01,000"),
        SRT.replace("02,500\n", "02,500 X1:40 X2:600\n", 1),
        SRT.replace("late", "{\\an8}<b><i>late</i></b>  "),
        "\n\n" + SRT.rstrip(),
    ],
)
def test_subrip_files_as_they_are_found(tmp_path, text):
    assert read_subtitles(written(tmp_path, text)) == Subtitles((HELLO, ROWS, LATE))


@pytest.mark.parametrize(
    ("entry", "malformed"),
    [
        ("4\n00:00:xx --> 00:00:05,000\nno time", 1),
        ("just a remark", 1),
        ("4\n00:00:09,000 --> 00:00:05,000\nends before it starts", 1),
        ("4\n00:00:05,000 --> 00:00:06,000\n", 0),  # says nothing
        ("4\n00:00:05,000 --> 00:00:06,000\n<i></i>", 0),
    ],
)
def test_malformed_entries_are_counted_and_cost_only_themselves(tmp_path, entry, malformed):
    found = read_subtitles(written(tmp_path, f"{entry}\n\n{SRT}\n{entry}\n"))
    assert found == Subtitles((HELLO, ROWS, LATE), malformed=2 * malformed)


def test_bytes_that_are_no_text_cost_a_character(tmp_path):
    [line, *_] = read_subtitles(written(tmp_path, SRT.encode().replace(b"Hello", b"Hell\xff"))).lines
    assert line.text == "Hell\ufffd & welcome"


def test_a_missing_file_has_no_lines(tmp_path):
    assert read_subtitles(tmp_path / "none.srt") == Subtitles(missing=True)


def test_both_forms_of_longvideobench(tmp_path):
    records = [
        {"start": "00:00:02.500", "end": "00:00:04.000", "line": "two\nrows"},
        {"start": "00:00:01.000", "end": "00:00:02.500", "line": "Hello &amp; welcome"},
        {"timestamp": [3600.25, 3601], "text": "late"},
        {"timestamp": [3700.0, None], "text": "to the end"},
    ]
    found = read_subtitles(written(tmp_path, json.dumps(records), "a.json"))
    assert found == Subtitles((HELLO, ROWS, LATE, Line(3700.0, math.inf, "to the end")))


@pytest.mark.parametrize(
    "record",
    [
        {}, "text", 3, None, {"timestamp": [1], "text": "x"}, {"timestamp": [1, 2]}, {"timestamp": 1, "text": "x"},
        {"start": "then", "end": "00:00:01", "line": "x"}, {"start": 3, "end": 2, "line": "x"},
        {"start": None, "end": 2, "line": "x"}, {"timestamp": [math.nan, 2], "text": "x"},
        {"timestamp": [1, 2], "text": 7},
    ],
)  # fmt: skip
def test_malformed_records_are_counted(tmp_path, record):
    good = {"timestamp": [1.0, 2.5], "text": "Hello & welcome"}
    assert read_subtitles(written(tmp_path, json.dumps([record, good]), "a.json")) == Subtitles((HELLO,), malformed=1)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "null"])
def test_a_file_that_is_no_list_is_malformed(tmp_path, text):
    assert read_subtitles(written(tmp_path, text, "a.json")) == Subtitles(malformed=1)


def test_a_line_is_shown_from_its_start_until_before_its_end():
    lines = [HELLO, ROWS]
    shown = {time: lines_at(lines, [time]) for time in (0.99, 1.0, 2.49, 2.5, 3.99, 4.0)}
    assert shown == {
        0.99: [], 1.0: ["Hello & welcome"], 2.49: ["Hello & welcome"], 2.5: ["two rows"], 3.99: ["two rows"], 4.0: [],
    }  # fmt: skip


def test_a_line_is_given_once_and_in_order_whatever_the_frames():
    lines = [HELLO, ROWS, Line(2.0, 3.0, "over both")]
    assert lines_at(lines, [3.0, 1.1, 1.2, 2.2]) == ["Hello & welcome", "two rows", "over both"]
    assert lines_at([Line(1, 2, "la"), Line(3, 4, "la")], [1.5, 3.5]) == ["la", "la"]


def test_a_line_of_no_length_is_shown_at_its_moment():
    assert lines_at([Line(1.0, 1.0, "now")], [1.0]) == ["now"]
    assert lines_at([Line(1.0, 1.0, "now")], [1.1]) == []
    assert lines_at([Line(1.0, 1.0, "now")], [1.1], shortest=1.0) == ["now"]


def test_subtitles_of_a_longer_video(tmp_path):
    """LongVideoBench: 250 of its 1,337 validation questions start within a longer video."""
    found = cut(Subtitles((HELLO, ROWS, LATE)), 2.0, 100.0)
    assert found.lines == (Line(-1.0, 0.5, "Hello & welcome"), Line(0.5, 2.0, "two rows"))
    assert cut(Subtitles((HELLO, ROWS, LATE)), 2.5).lines == (Line(0.0, 1.5, "two rows"), Line(3597.75, 3598.5, "late"))
    assert offset_of({"starting_timestamp_for_subtitles": 765}) == 765.0
    assert offset_of({"question": "?"}) == 0.0


def test_the_block_that_stands_before_a_question(tmp_path, caplog):
    path = written(tmp_path, SRT + "\nnothing")
    assert block([]) == ""
    with caplog.at_level(logging.INFO, logger="framesift"):
        assert block_of(path) == f"{HEADER}\nHello & welcome\ntwo rows\nlate"
        assert block_of(path, [2.6]) == f"{HEADER}\ntwo rows"
        assert block_of(path, [0.6], offset=2.0, seconds=5.0) == f"{HEADER}\ntwo rows"
        assert block_of(path, offset=2.0, seconds=5.0) == f"{HEADER}\nHello & welcome\ntwo rows"
        assert block_of(path, [9.0]) == ""
        assert block_of(tmp_path / "none.srt") == ""
    assert [record.message.split(": ")[1] for record in caplog.records] == [
        "1 subtitles cannot be read, and are left out",
        "no such file; its questions are asked without subtitles",
    ]  # once a file


def clock(milliseconds, mark=","):
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{mark}{rest:03d}"


spans = st.tuples(st.integers(0, 10_000_000), st.integers(0, 9_000)).map(lambda span: (span[0], span[0] + span[1]))
texts = st.text(alphabet="abc xyz,.!é世", min_size=1).map(lambda text: " ".join(text.split())).filter(bool)
entries = st.lists(st.tuples(spans, texts), max_size=12)


@settings(deadline=None)
@given(entries)
def test_what_is_written_is_read(tmp_path_factory, entries):
    expected = sorted((Line(a / 1000, b / 1000, text) for (a, b), text in entries), key=lambda line: line.start)
    srt = "\n\n".join(f"{n}\n{clock(a)} --> {clock(b)}\n{text}" for n, ((a, b), text) in enumerate(entries, start=1))
    records = [{"start": clock(a, "."), "end": clock(b, "."), "line": text} for (a, b), text in entries]
    folder = tmp_path_factory.mktemp("written")
    for found in (
        read_subtitles(written(folder, srt)),
        read_subtitles(written(folder, json.dumps(records), "a.json")),
    ):
        assert found.malformed == 0
        assert [line.text for line in found.lines] == [line.text for line in expected]
        times = [time for line in found.lines for time in (line.start, line.end)]
        assert times == pytest.approx([time for line in expected for time in (line.start, line.end)])


@settings(deadline=None)
@given(st.text() | st.binary())
def test_no_file_is_too_broken_to_read(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("broken")
    for name in ("a.srt", "a.json"):
        data = content.encode(errors="replace") if isinstance(content, str) else content
        assert not read_subtitles(written(folder, data, name)).missing


@settings(deadline=None)
@given(entries, st.lists(st.integers(0, 10_010_000), max_size=8))
def test_longvideobenchs_own_rule_differs_only_at_the_ends_of_a_line(entries, moments):
    """lmms-eval's `insert_subtitles_into_frames`, whose other lines say <image>."""
    insert = read_task("longvideobench/longvideobench_val_v.yaml")["doc_to_text"].__globals__[
        "insert_subtitles_into_frames"
    ]
    lines = sorted((Line(a / 1000, b / 1000, f"{n} {text}") for n, ((a, b), text) in enumerate(entries)), key=str)
    times = sorted(moment / 1000 for moment in moments)
    records = [{"timestamp": [line.start, line.end], "text": line.text} for line in lines]
    theirs = [row for row in insert(times, records, 0, 20_000.0).split("\n") if row and row != "<image>"]

    def near_an_end(line):
        middle, half = (line.start + line.end) / 2, max(line.end - line.start, 1.0) / 2
        return any(abs(abs(time - middle) - half) < 1e-6 for time in times)

    uncertain = {line.text for line in lines if near_an_end(line)}
    ours = lines_at(lines, times, shortest=1.0)
    assert [text for text in ours if text not in uncertain] == [text for text in theirs if text not in uncertain]


def test_videommes_own_rule_is_ours(tmp_path, monkeypatch):
    """lmms-eval's videomme_w_subtitle, which takes frames of its own: spread over the video."""
    for name in ("data", "subtitle"):
        (tmp_path / "videomme" / name).mkdir(parents=True)
    barcode.write_video(tmp_path / "videomme" / "data" / "v.mp4", 100, 10)
    # at whole frames, since it rounds times down to frames
    spans = [(0, 100), (100, 900), (900, 1000), (1000, 3300), (2000, 2100), (5000, 9900), (9800, 9900)]
    srt = "\n\n".join(
        f'{number}\n{clock(start)} --> {clock(end)}\n<font color="white" size=".72c">line {number}</font>'
        for number, (start, end) in enumerate(spans)
    )
    path = written(tmp_path / "videomme" / "subtitle", srt, "v.srt")
    doc_to_text = read_task("videomme/videomme_w_subtitle.yaml")["doc_to_text"]
    monkeypatch.setitem(doc_to_text.__globals__, "base_cache_dir", str(tmp_path))
    for count in (1, 2, 3, 10, 34, 100):
        text = doc_to_text({"videoID": "v", "question": "?", "options": []}, {"frame_num": count})
        theirs = [row for row in text.split("\n") if row.startswith("line ")]
        times = [frame / 10 for frame in np.linspace(0, 99, count, dtype=int)]
        assert lines_at(read_subtitles(path).lines, times) == theirs, count


def test_lmms_eval_reads_a_clean_file_of_videomme_as_we_do(tmp_path):
    load = read_task("videomme/videomme.yaml")["doc_to_text"].__globals__["load_subtitles"]
    theirs = load(written(tmp_path, SRT.strip()))
    assert [*theirs] == [(line.start, line.end) for line in (HELLO, ROWS, LATE)]
    assert [*theirs.values()][1:] == ["two rows", "late"]
    assert subtitles.read_subtitles(tmp_path / "a.srt").lines == (HELLO, ROWS, LATE)
