"""Render one video of the demo world (H.264)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="world spec: JSON, or @ and the path of a JSON file")
    parser.add_argument("--video", required=True, help="video id, such as demo-short-1")
    parser.add_argument("--out", required=True, type=Path, help="mp4 file to write")
    arguments = parser.parse_args()

    from framesift.demo.config import DemoWorld, read_spec
    from framesift.demo.world import write_video

    write_video(read_spec(DemoWorld, arguments.spec), arguments.video, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
