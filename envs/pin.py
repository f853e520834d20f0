"""Write the locked versions into the `pip:` sections of envs/*.yaml (part of `make lock`).

An env file names what its programs import; above the line are those packages, below it what they need in turn. Both
have the versions of a lock: an env with a lock of its own (lavis.yaml, lavis.lock) those, all others demo.lock's. With
nothing left to a resolver, an environment is the same whenever it is built, and the same as in the one-environment
set-up.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ENVS = Path(__file__).resolve().parent
INDENT = " " * 6
LINE = f"{INDENT}# what these need"
PIN = re.compile(rf"{INDENT}- ([A-Za-z0-9_.-]+)==\S+(?P<marker> ; .+)?$")


def locked_versions(lock: Path) -> dict[str, str]:
    """Versions of a lock for Python 3.11, by lower-case name."""
    pins = for_python_311(lock.read_text().splitlines())
    return {name.lower(): rest.split(" ; ")[0] for name, rest in (pin.split("==", 1) for pin in pins)}


def for_python_311(pins: list[str]) -> list[str]:
    """The pins of a lock that hold for Python 3.11; their other markers stay."""
    return [pin.removesuffix(" ; python_full_version < '3.12'") for pin in pins if "version >= '3.12'" not in pin]


def needed(requirements: list[str], lock: Path) -> list[str]:
    """The pins of everything that `requirements` bring with them, themselves included.

    Raises
    ------
    subprocess.CalledProcessError
        When the lock cannot satisfy them.
    """
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--universal", "--python-version", "3.11",
               "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--quiet",
               "--constraint", str(lock), "-"]  # fmt: skip
    done = subprocess.run(command, input="\n".join(requirements), stdout=subprocess.PIPE, text=True, check=True)
    return for_python_311(done.stdout.splitlines())


def repinned(text: str, lock: Path) -> str:
    """An env file with the versions of a lock.

    Raises
    ------
    KeyError
        For a package that is not in the lock.
    """
    versions = locked_versions(lock)
    lines, requirements = [], []
    for line in text.split(f"{LINE}\n")[0].splitlines():
        if match := PIN.match(line):
            marker = match["marker"] or ""
            requirements.append(match[1] + marker)
            line = f"{INDENT}- {match[1]}=={versions[match[1].lower()]}{marker}"
        lines.append(line)
    named = {re.split(r"\W*[ ;]", requirement)[0].lower() for requirement in requirements}
    others = [pin for pin in needed(requirements, lock) if pin.split("==")[0] not in named]
    return "\n".join([*lines, LINE, *(f"{INDENT}- {pin}" for pin in others)]) + "\n"


def main() -> None:
    for file in sorted(ENVS.glob("*.yaml")):
        own = file.with_suffix(".lock")
        text = repinned(file.read_text(), own if own.exists() else ENVS / "demo.lock")
        if text != file.read_text():
            file.write_text(text)
            print(f"{file.name}: renewed", file=sys.stderr)


if __name__ == "__main__":
    main()
