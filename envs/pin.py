"""Write the locked versions into the `pip:` sections of envs/*.yaml (part of `make lock`).

An env with a lock of its own (lavis.yaml, lavis.lock) takes that one's versions, all others those of demo.lock.
"""

import re
import sys
from pathlib import Path

ENVS = Path(__file__).resolve().parent
PIN = re.compile(r"^(\s*- )([A-Za-z0-9_.-]+)==\S+$")


def locked_versions(lock: Path) -> dict[str, str]:
    """Versions of a lock for Python 3.11 on Linux, by lower-case name."""
    versions: dict[str, str] = {}
    for line in lock.read_text().splitlines():
        match = re.match(r"([A-Za-z0-9_.-]+)==(\S+)(?: ; (.*))?$", line)
        if match and "python_full_version >= '3.12'" not in (match[3] or ""):
            versions[match[1].lower()] = match[2]
    return versions


def repinned(text: str, versions: dict[str, str]) -> str:
    """An env file with the locked version of every package the lock holds; others keep theirs."""
    lines = []
    for line in text.splitlines():
        match = PIN.match(line)
        if match and match[2].lower() in versions:
            line = f"{match[1]}{match[2]}=={versions[match[2].lower()]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    for file in sorted(ENVS.glob("*.yaml")):
        own = file.with_suffix(".lock")
        versions = locked_versions(own if own.exists() else ENVS / "demo.lock")
        text = repinned(file.read_text(), versions)
        if text != file.read_text():
            file.write_text(text)
            print(f"{file.name}: renewed", file=sys.stderr)


if __name__ == "__main__":
    main()
