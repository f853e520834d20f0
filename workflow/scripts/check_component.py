"""Check that a component of your own keeps its contract.

The check covers what its class says of itself, and how it acts on small made-up inputs.

Example:
  framesift check-component selectors mine --plugins my_folder
  framesift check-component scorers mine --plugins my_folder --set model=resources/demo/clip
"""

import sys

from framesift.core.components import FAMILIES, build
from framesift.interop.contract import CHECKS
from framesift.program.cli import parser, run
from framesift.program.read_spec import read_settings


def main() -> None:
    options = parser(__doc__)
    options.add_argument("family", choices=FAMILIES)
    options.add_argument("kind", help="the name of the component")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a parameter of it")
    args = options.parse_args()

    component = build(args.family, {"kind": args.kind, **read_settings(args.set)})
    try:
        CHECKS[args.family](component)
    except AssertionError as error:
        sys.exit(f"error: {component.class_file}: {error}")
    print(f"{args.kind} keeps the contract of {args.family}")


if __name__ == "__main__":
    run(main)
