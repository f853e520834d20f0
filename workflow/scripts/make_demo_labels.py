"""Write the questions of the demo world, and their evidence.

The questions have the columns of VideoMME.

Example:
  framesift make-demo-labels --spec '{}' --labels labels.parquet --evidence evidence.json
"""

from pathlib import Path

from framesift.demo.config import DemoWorld
from framesift.program.cli import log, parser, run


def main() -> None:
    options = parser(__doc__, spec="the demo world")
    options.add_argument("--labels", required=True, type=Path, metavar="FILE.parquet")
    options.add_argument("--evidence", required=True, type=Path, metavar="FILE.json")
    args = options.parse_args()

    from framesift.demo.questions import write_labels

    count = write_labels(DemoWorld(**args.spec), args.labels, args.evidence)
    log.info("%s: %d questions", args.labels, count)


if __name__ == "__main__":
    run(main)
