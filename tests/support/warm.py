"""Python programs that start at once: each is forked from a process that has imported the large libraries already.

Most of what a run of the workflow costs in the tests is importing torch, transformers and Snakemake again for every
job, three seconds a time. A project puts `folder()` first in PATH; the `python` there hands its arguments, folder,
environment and open files to a server that forks. A program still has a process of its own, with its own code and
nothing left over from another one. What cannot be the same in a fork starts a new Python as usual: other options than
a program or ``-m snakemake``, and another value of a variable that a library reads while it is imported.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

#: Libraries of the programs and of Snakemake. Not lmms-eval, which reads the environment that the program makes for it.
LIBRARIES = (
    *("accelerate", "av", "datasets", "evaluate", "jinja2", "matplotlib.figure", "pandas", "PIL.Image", "psutil"),
    *("pulp", "pydantic", "scipy.optimize", "scipy.signal", "scipy.stats", "snakemake.cli", "snakemake.report"),
    *("statsmodels.stats.contingency_tables", "torch", "torchvision", "transformers", "yaml"),
    *("transformers.generation.utils", "transformers.models.auto.processing_auto"),
    *("transformers.models.clip.modeling_clip", "transformers.models.clip.processing_clip"),
    *("transformers.models.blip.modeling_blip", "transformers.models.blip.processing_blip"),
    *("transformers.models.llava.modeling_llava", "transformers.models.llava.processing_llava"),
    *("transformers.models.llava_onevision.modeling_llava_onevision", "transformers.models.qwen2.modeling_qwen2"),
    "transformers.models.llava_onevision.processing_llava_onevision",
)
#: Variables, by how they begin, that Python reads when it starts, and those that libraries of the programs read while
#: they are imported. The threads of OpenMP, which Snakemake sets for each job, are not among them: programs that
#: calculate set their own.
READ_BY_PYTHON = ("HOME", "LD_", "PYTHON", "XDG_")
READ_BY_LIBRARIES = ("CUDA_", "HF_", "MPL", "TORCH_", "TRANSFORMERS_")
READ = READ_BY_PYTHON + READ_BY_LIBRARIES

#: What stands in PATH as `python`. It imports little, so that it starts in hundredths of a second.
CLIENT = """#!{python} -IS
import os, sys
arguments = sys.argv[1:]
if arguments[:2] == ["-m", "snakemake"]:
    early = {by_python!r} + ("HF_HUB_OFFLINE",)
elif arguments and arguments[0].endswith(".py"):
    early = {by_python!r} + {by_libraries!r}
else:
    early = None
if not early or any(
    os.environ.get(name) != {environment!r}.get(name)
    for name in {{*os.environ, *{environment!r}}}
    if name.startswith(early)
):
    os.execv({python!r}, [{python!r}, *arguments])
import json, socket
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"x"], [0, 1, 2])
    server.sendall(json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode() + b"\\n")
    status = int(server.makefile().readline() or -9)
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@functools.cache
def folder() -> Path:
    """A folder with the program `python`; the server behind it ends with this process. On Linux only."""
    if sys.platform != "linux":
        return Path(sys.executable).parent
    made = Path(tempfile.mkdtemp(prefix="warm-"))
    address = str(made / "socket")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    client = CLIENT.format(
        python=sys.executable,
        address=address,
        by_python=READ_BY_PYTHON,
        by_libraries=READ_BY_LIBRARIES,
        environment={name: value for name, value in environment.items() if name.startswith(READ)},
    )
    python = made / "python"
    python.write_text(client)
    python.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        command = [sys.executable, __file__, str(listening.fileno())]
        server = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, pass_fds=[listening.fileno()], start_new_session=True
        )
    atexit.register(_end, server, made)
    return made


def _end(server: subprocess.Popen[bytes], made: Path) -> None:
    server.terminate()
    server.wait()
    for path in made.iterdir():
        path.unlink()
    made.rmdir()


def _serve(listening: socket.socket) -> None:
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    threads = [Path(f"/proc/self/task/{thread}/comm").read_text().strip() for thread in os.listdir("/proc/self/task")]
    # Threads do not survive a fork; the allocator of pyarrow starts its own again.
    assert threads[1:] in ([], ["jemalloc_bg_thd"]), threads
    gc.collect()
    gc.freeze()
    watched = select.poll()
    watched.register(listening, select.POLLIN)
    watched.register(0, select.POLLHUP)  # closes when the tests end, however they do
    while not any(descriptor == 0 for descriptor, _ in watched.poll()):
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _look_after(connection)
        connection.close()
        with suppress(ChildProcessError):  # so that what they took counts as this process's
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _look_after(connection: socket.socket) -> None:
    """Run one program, tell how it ended, and end it when whoever started it is gone."""
    try:
        _, files, _, _ = socket.recv_fds(connection, 1, 3)
        arguments, cwd, environment = json.loads(connection.makefile().readline())
        program = os.fork()
        if program == 0:
            os.setsid()
            connection.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            _become(arguments, cwd, environment)
        for file in files:
            os.close(file)
        watched = select.poll()
        watched.register(connection, select.POLLIN | select.POLLHUP)
        watched.register(os.pidfd_open(program), select.POLLIN)
        if any(descriptor == connection.fileno() for descriptor, _ in watched.poll()):
            os.killpg(program, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        connection.sendall(f"{status}\n".encode())
    finally:
        os._exit(0)


def _become(arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    """What Python does after it has started."""
    status = 1
    try:
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        module = arguments.pop(0) == "-m" if arguments[0] == "-m" else False
        sys.argv[:] = arguments
        sys.path[0] = cwd if module else os.path.dirname(os.path.abspath(arguments[0]))
        if module:
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(arguments[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            _finish()
        os._exit(status)


def _finish() -> None:
    """What Python does before it ends."""
    import threading

    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
