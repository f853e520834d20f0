"""What Snakemake wrote of a job's costs."""

import pytest

from framesift.program.job_costs import benchmark_of, read_costs

HEADER = "s\th:m:s\tmax_rss\tmean_load\tcpu_time\n"


@pytest.mark.parametrize(
    ("text", "costs"),
    [
        (HEADER + "1.5\t0:00:01\t210.25\t80.0\t1.0\n", {"s": 1.5, "max_rss": 210.25, "mean_load": 80, "cpu_time": 1}),
        (HEADER + "9\t0:00:09\t1\t1\t8\n2\t0:00:02\t1\t1\t1\n", {"s": 2, "max_rss": 1, "mean_load": 1, "cpu_time": 1}),
        (HEADER + "0.02\t0:00:00\tNA\tNA\tNA\n", {"s": 0.02}),
        (HEADER + "1.5\t0:0", {"s": 1.5}),  # cut
        (HEADER, {}),
        ("", {}),
    ],
)  # fmt: skip
def test_only_what_is_known_is_there(tmp_path, text, costs):
    (tmp_path / "job.tsv").write_text(text)
    assert read_costs(tmp_path / "job.tsv") == costs


def test_what_is_no_benchmark_tells_nothing(tmp_path):
    assert read_costs(tmp_path / "none.tsv") == {}
    assert read_costs(tmp_path) == {}
    (tmp_path / "job.tsv").write_bytes(b"\xff\xfe\x00")
    assert read_costs(tmp_path / "job.tsv") == {}


def test_results_and_logs_lead_to_the_same_benchmark(tmp_path):
    found = [benchmark_of("results/scores/d/clip/1-of-2.parquet"), benchmark_of("logs/scores/d/clip/1-of-2.log")]
    assert [one.as_posix() for one in found] == ["benchmarks/scores/d/clip/1-of-2.tsv"] * 2
    assert benchmark_of("results/tables/t.csv", tmp_path) == tmp_path / "tables" / "t.tsv"
