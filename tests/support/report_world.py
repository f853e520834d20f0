"""Input files of a report in a folder, hostile texts among them."""

import csv
import json
import random
import re
import sys

import av
import numpy as np

import make_figures
import make_report
import make_table
from framesift.answering.answer_file import Answer, write_answers
from framesift.judging.verdict_file import JudgedCell, Verdict, write_judged
from framesift.report.inputs import read_inputs
from framesift.scoring.score_table import QuestionScores, write_scores
from framesift.selection.select_frames import Selected, write_selection
from framesift.storage.checksums import file_digest
from framesift.storage.files import write_json
from framesift.video.index import index_video
from framesift.video.table import Video, write_videos

HOSTILE = """</script><script>window.bad=1</script><img src=x onerror="window.bad=1">"'`${window.bad=1}&amp;<!--"""


class World:
    """Files of a table with its scores and videos, in a folder; `n` questions, four a video."""

    def __init__(self, folder, n=24, budgets=(4,), hostile=False, real_videos=False, candidates=30):
        self.folder, self.n, self.budgets = folder, n, budgets
        self.ids = [f"q{k:04d}" for k in range(n)]
        self.rng = random.Random(7)
        self.spec = {"table": "t", "dataset": "d", "protocol": "fair", "baseline": "uniform", "group_by": "duration"}
        self.spec |= {"seed": 0, "cells": []}
        self.judged, self.scores = {}, {}
        self.texts = {
            name: HOSTILE if hostile and k % 3 == 0 else f"What happens in scene {k}?"
            for k, name in enumerate(self.ids)
        }
        self._write_labels(hostile)
        self._write_videos(real_videos, candidates)
        self._write_scores(candidates)
        for budget in budgets:
            self._cell("uniform", None, budget, 0.5)
            self._cell("aks", "clip", budget, 0.7)
            self._cell("topk", "clip", budget, 0.4, last="-x")
        self._write_tables()

    def _write_labels(self, hostile):
        records = []
        for k, name in enumerate(self.ids):
            question = {
                "question_id": name,
                "video_id": f"v{k // 4}",
                "question": self.texts[name],
                "options": ["one", HOSTILE if hostile else "two", "three"],
                "answer": "ABC"[k % 3],
                "groups": {"duration": ("short", "medium", "long")[k % 3], "kind": HOSTILE if hostile else "plain"},
            }
            if k % 4 != 3:
                question["evidence"] = {"kind": "one_moment", "spans": [[3.0, 5.0]]}
            records.append({"normalised": question})
        write_json(self.folder / "labels.json", records)

    def _write_videos(self, real, candidates):
        path = self.folder / "video.mp4"
        made = {}
        if real:
            with av.open(str(path), "w") as container:
                stream = container.add_stream("mpeg4", rate=1)
                stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
                for k in range(candidates):
                    image = np.full((120, 160, 3), k * 8 % 256, dtype=np.uint8)
                    for packet in stream.encode(av.VideoFrame.from_ndarray(image)):
                        container.mux(packet)
                for packet in stream.encode():
                    container.mux(packet)
            index = index_video(path)
            made = {"path": str(path), "digest": file_digest(path), "keyframes": index.keyframes}
        stamps = index.pts if real else list(range(candidates))
        self.videos = [
            Video(
                f"v{k}", fps=1.0, n_frames=candidates, duration=float(candidates), frames=list(range(candidates)),
                stamps=stamps, times=[float(t) for t in range(candidates)], **({"path": ""} | made),
            )
            for k in range((self.n + 3) // 4)
        ]  # fmt: skip
        write_videos(self.folder / "videos.parquet", self.videos, {})

    def _write_scores(self, candidates):
        rows = []
        for k, name in enumerate(self.ids):
            values = [0.1 + 0.01 * (t % 5) + (0.8 if 3 <= t <= 5 else 0.0) for t in range(candidates)]
            error = "no text" if k == 1 else None
            rows.append(
                QuestionScores(
                    name, f"v{k // 4}", error, [] if error else list(range(candidates)), [] if error else values
                )
            )
        write_scores(self.folder / "clip.parquet", rows, {})

    def _cell(self, method, scorer, budget, share, last=""):
        stem = f"{method}-{budget}"
        selection, answers, verdicts = {}, {}, {}
        for k, name in enumerate(self.ids):
            video, right = f"v{k // 4}", "ABC"[k % 3]
            frames = {"uniform": [t * 7 for t in range(budget)], "aks": [t * 2 for t in range(budget)]}.get(
                method, list(range(3, 3 + budget))
            )
            frames = [frame % 30 for frame in frames]
            frames = sorted(set(frames))
            times = [float(frame) for frame in frames]
            mark = last[self.n - 1 - k] if self.n - 1 - k < len(last) else ""
            if mark == "x":
                selection[name] = Selected(video_id=video, error="scores: none")
                answers[name] = Answer(video_id=video, error="scores: none")
                continue
            letter = right if self.rng.random() < share else "ABC"[(k + 1) % 3]
            parsed = None if mark == "-" else letter
            selection[name] = Selected(video_id=video, frames=frames, times=times, candidates=30)
            answers[name] = Answer(
                video_id=video, response="perhaps" if mark == "-" else letter, frames_given=frames, times_given=times,
                key=f"{name} {stem}", seconds=0.5 * budget,
            )  # fmt: skip
            verdicts[name] = Verdict(answer=right, parsed=parsed, correct=parsed == right)
        write_selection(self.folder / f"{stem}.selection.json", selection, {})
        write_answers(self.folder / f"{stem}.answers.json", answers, {})
        self.judged[stem] = JudgedCell(metric="score", value=1.0, questions=verdicts)
        self.spec["cells"].append(
            {
                "id": stem, "answerer": "vlm", "method": method, "scorer": scorer, "budget": budget,
                "selection": str(self.folder / f"{stem}.selection.json"), "showing": {"protocol": "fair"},
                "answers": [str(self.folder / f"{stem}.answers.json")],
            }
        )  # fmt: skip
        if scorer:
            self.scores[str(self.folder / f"{stem}.selection.json")] = str(self.folder / "clip.parquet")

    def _write_tables(self):
        write_judged(self.folder / "judged.json", self.judged, {})
        write_json(self.folder / "table.json", self.spec)
        write_json(self.folder / "spec.json", {"table": self.spec, "scores": self.scores})
        self.call(
            make_table, "--spec", f"@{self.folder / 'table.json'}", "--out", "t.csv", "--groups-out", "g.csv",
            "--timings-out", "s.csv", inputs=("labels", "videos", "judged"),
        )  # fmt: skip

    def call(self, program, *options, inputs=("labels", "videos", "judged", "table", "groups", "timings")):
        files = {"labels": "labels.json", "videos": "videos.parquet", "judged": "judged.json"}
        files |= {"table": "t.csv", "groups": "g.csv", "timings": "s.csv"}
        given = [word for name in inputs for word in (f"--{name}", str(self.folder / files[name]))]
        options = [str(self.folder / word) if re.fullmatch(r"[a-z]+\.csv", word) else word for word in options]
        before, sys.argv = sys.argv, [program.__name__, *options, *given]
        try:
            program.main()
        finally:
            sys.argv = before

    def report(self, name="r.html", *options):
        self.call(make_report, "--spec", f"@{self.folder / 'spec.json'}", "--out", str(self.folder / name), *options)
        return self.folder / name

    def figures(self, name="figures", *options):
        self.call(make_figures, "--spec", f"@{self.folder / 'spec.json'}", "--out", str(self.folder / name), *options)
        return self.folder / name

    def rows(self, name="t.csv"):
        with open(self.folder / name, newline="") as file:
            return list(csv.DictReader(file))

    def inputs(self):
        class Arguments:
            spec = json.loads((self.folder / "spec.json").read_text())
            labels, videos, judged = (self.folder / name for name in ("labels.json", "videos.parquet", "judged.json"))
            table, groups, timings = (self.folder / name for name in ("t.csv", "g.csv", "s.csv"))
            evidence = None

        return read_inputs(Arguments)
