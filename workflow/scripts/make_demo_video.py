"""Render one video of the demo world (H.264).

Example:
  framesift make-demo-video --spec '{}' --video demo-short-1 --out demo-short-1.mp4
"""

from pathlib import Path

from framesift.demo.config import DemoWorld
from framesift.program.cli import log, parser, run


def main() -> None:
    options = parser(__doc__, spec="the demo world")
    options.add_argument("--video", required=True, metavar="ID", help="for example demo-short-1")
    options.add_argument("--out", required=True, type=Path, metavar="FILE.mp4")
    args = options.parse_args()

    from framesift.demo.world import write_video

    write_video(DemoWorld(**args.spec), args.video, args.out)
    log.info("%s: %d bytes", args.out, args.out.stat().st_size)


if __name__ == "__main__":
    run(main)
