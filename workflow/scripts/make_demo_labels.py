"""Write the demo's questions (VideoMME's columns, parquet) and their evidence (JSON)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="world spec: JSON, or @ and the path of a JSON file")
    parser.add_argument("--labels", required=True, type=Path, help="parquet file to write")
    parser.add_argument("--evidence", required=True, type=Path, help="JSON file to write: spans that hold the answers")
    arguments = parser.parse_args()

    from framesift.demo.config import DemoWorld, read_spec
    from framesift.demo.questions import write_labels

    count = write_labels(read_spec(DemoWorld, arguments.spec), arguments.labels, arguments.evidence)
    print(f"{arguments.labels}: {count} questions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
