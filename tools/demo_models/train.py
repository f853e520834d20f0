"""Train one of the demo's tiny models until it reaches its validation target (settings.py).

Example:
  python tools/demo_models/train.py clip --out build/demo_models/clip
"""

import sys
from importlib import import_module
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(TOOLS), str(TOOLS.parent / "workflow" / "scripts")]

from demo_models.settings import SelectorStartSettings, TrainingSettings  # noqa: E402
from framesift.program.cli import parser, run  # noqa: E402

SETTINGS = {
    "clip": TrainingSettings(),
    "blip": TrainingSettings(),
    "vlm": TrainingSettings(),
    "selector_start": SelectorStartSettings(),
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("model", choices=SETTINGS)
    options.add_argument("--out", required=True, type=Path, metavar="DIR", help="the checkpoint, with its spec.json")
    args = options.parse_args()

    from demo_models.training import TargetNotReached

    train = getattr(import_module(f"demo_models.train_{args.model}"), f"train_{args.model}")
    try:
        train(SETTINGS[args.model], args.out)
    except TargetNotReached as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run(main)
