"""An oracle and two random selections as rows of a table, through the rules of the workflow."""

import csv
import json

from tiny import TABLE, make_project


def test_a_table_with_its_floor_and_its_ceiling(tmp_path):
    project = make_project(
        tmp_path / "project", selectors=["uniform", "topk", "evidence"], scorers=["demo_clip"], controls=["churn"]
    )
    project.run(TABLE)
    with open(project.folder / TABLE) as file:
        rows = list(csv.DictReader(file))
    names = [(row["method"], row["control"]) for row in rows]
    assert names == [
        ("uniform", ""),
        ("topk", ""),
        ("evidence (oracle)", ""),
        ("random", "churn 1"),
        ("random", "churn 2"),
    ]
    assert float(rows[2]["evidence_recall"]) == 1
    assert {row["churn"] for row in rows} == {rows[0]["churn"]} != {""}
    assert float(rows[1]["changed"]) > 0
    [selection] = (project.folder / "results" / "selections").rglob("evidence-*.json")
    before = json.loads(selection.read_text())["made_by"]["evidence"]

    evidence = project.folder / "data" / "evidence.json"
    content = json.loads(evidence.read_text())
    for one in content.values():
        one["spans"] = [[start + 9, end + 9] for start, end in one["spans"]]
    evidence.write_text(json.dumps(content))
    (evidence.parent / ".evidence.json.sha256").unlink()  # as an edit of one's own file has none
    ran = project.would_run(TABLE)
    assert ran["select_frames"] == 1  # the oracle's alone
    project.run(str(selection.relative_to(project.folder)))
    assert json.loads(selection.read_text())["made_by"]["evidence"] != before
