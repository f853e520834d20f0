"""A stand-in for conda, for tests only: it answers the calls that Snakemake makes, and nothing else.

Where only PyPI can be reached there is neither conda nor conda-forge. So py-rattler, which solves and links packages of
conda, makes the environments from a channel on this disk that holds what env files ask of conda: `python`, which is
this interpreter as a virtual environment has it, `pip`, an empty package, and `git`, a link to this machine's. The
`pip:` section is installed by uv, whose hard links make one more environment with torch cost no disk; it has to be
complete, since nothing is added to it. What else conda does (other interpreters, libraries that are no Python
packages, activation scripts) is not tested by it.

`install(folder)` makes `folder/bin/conda`, to be put into PATH.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
from argparse import ArgumentParser
from pathlib import Path

import yaml

VERSION = "24.7.1"  # the oldest that Snakemake takes
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
#: As conda does it: the environment's programs come first.
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


def install(folder: Path) -> Path:
    """Make the stand-in with its channel; gives the folder to put into PATH."""
    from rattler.index import index_fs

    channel = folder / "channels" / "conda-forge"
    _write_python(channel)
    _write_package(channel, "pip", "25.0", {"etc/pip-is-here": b""}, {})
    _write_package(channel, "git", "2.40", {}, {"bin/git": shutil.which("git") or "/usr/bin/git"})
    asyncio.run(index_fs(channel, force=True))
    commands = folder / "bin"
    commands.mkdir()
    (commands / "conda").write_text(
        f'#!/bin/sh\nexec {shlex.join([sys.executable, __file__, str(folder.resolve())])} "$@"\n'
    )
    (commands / "conda").chmod(0o755)
    (commands / "activate").write_text(ACTIVATE)
    return commands


def _write_python(channel: Path) -> None:
    base, site = Path(sys.base_prefix) / "bin", f"lib/{PYTHON}/site-packages"
    config = f"home = {base}\ninclude-system-site-packages = false\nversion = {platform.python_version()}\n"
    links = {f"bin/{PYTHON}": str(base / PYTHON), "bin/python3": PYTHON, "bin/python": PYTHON}
    files = {"pyvenv.cfg": config.encode(), f"{site}/.keep": b""}
    _write_package(channel, "python", platform.python_version(), files, links, python_site_packages_path=site)


def _write_package(
    channel: Path, name: str, version: str, files: dict[str, bytes], links: dict[str, str], **more: str
) -> None:
    """Write a package of files (path -> content) and symbolic links (path -> target)."""
    subdir = _subdir()
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": subdir, **more}
    paths = [
        {"_path": path, "path_type": kind, "sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
        for kind, content_of in (("hardlink", files), ("softlink", dict.fromkeys(links, b"")))
        for path, content in content_of.items()
    ]
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": "".join(f"{path}\n" for path in (*files, *links)).encode(),
    }
    (channel / subdir).mkdir(parents=True, exist_ok=True)
    with tarfile.open(channel / subdir / f"{name}-{version}-0.tar.bz2", "w:bz2") as archive:
        for path, content in (info | files).items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)


def _subdir() -> str:
    """What conda calls this platform."""
    from rattler import Subdir

    return str(Subdir.current())


async def _link(requirements: list[str], channels: list[str], prefix: Path, home: Path) -> None:
    """Solve and link the part of an environment that is conda's."""
    from rattler import Channel, ChannelConfig, Gateway, VirtualPackage, install, solve

    config = ChannelConfig(channel_alias=f"{(home / 'channels').as_uri()}/")
    records = await solve(
        sources=[Channel(name, config) for name in channels if name != "nodefaults"],
        specs=requirements,
        gateway=Gateway(cache_dir=home / "repodata"),
        platforms=[_subdir(), "noarch"],
        virtual_packages=VirtualPackage.detect(),
    )
    await install(records=records, target_prefix=prefix, cache_dir=home / "packages", show_progress=False)


def create(file: Path, prefix: Path, home: Path) -> None:
    """`conda env create`: make the environment of an env file."""
    content = yaml.safe_load(file.read_text())
    requirements = [item for item in content["dependencies"] if isinstance(item, str)]
    pip = [line for item in content["dependencies"] if isinstance(item, dict) for line in item["pip"]]
    asyncio.run(_link(requirements, content["channels"], prefix, home))
    if pip:
        uv = Path(sys.executable).with_name("uv")
        command = [uv, "pip", "install", "--quiet", "--python", prefix / "bin" / "python", "--no-deps",
                   "--requirements", "-"]  # fmt: skip
        subprocess.run(command, input="\n".join(pip), text=True, check=True)


def main(home: Path, *arguments: str) -> None:
    match arguments:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(home), "platform": _subdir()}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["clean", "-y", "--tarballs"]:
            pass
        case ["env", "create", *options]:
            parser = ArgumentParser()
            for flag in ("--quiet", "--no-default-packages"):
                parser.add_argument(flag, action="store_true")
            for option in ("--file", "--prefix"):
                parser.add_argument(option, type=Path, required=True)
            asked = parser.parse_args(options)
            create(asked.file, asked.prefix, home)
        case _:
            sys.exit(f"the tests' stand-in for conda does not know: conda {shlex.join(arguments)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
