"""A program that is forked from a warm Python runs as one that is started, and sees the same of its surroundings."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import warm

PROGRAM = """
import atexit, json, os, sys
atexit.register(print, "at the end")
print(json.dumps([__name__, sys.argv, sys.path[0], os.getcwd(), os.environ.get("MINE"), sys.stdin.read()]))
print("an error", file=sys.stderr)
sys.exit(3)
"""
WARM = 'import sys; print("torch" in sys.modules)'


@pytest.fixture(params=["warm", "started"])
def python(request):
    if request.param == "warm" and sys.platform != "linux":
        pytest.skip("needs Linux")
    return warm.folder() / "python" if request.param == "warm" else sys.executable


def run(python, *arguments, **more):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"} | more.pop("environment", {})
    return subprocess.run([python, *arguments], env=environment, capture_output=True, text=True, **more)


def test_arguments_folder_environment_and_files_are_those_of_the_start(python, tmp_path):
    (tmp_path / "programs").mkdir()
    program = tmp_path / "programs" / "program.py"
    program.write_text(PROGRAM)
    done = run(python, program, "--a", "b", cwd=tmp_path, input="read", environment={"MINE": "x"})
    said, end = done.stdout.splitlines()
    folder = str(tmp_path / "programs")
    assert json.loads(said) == ["__main__", [str(program), "--a", "b"], folder, str(tmp_path), "x", "read"]
    assert (end, done.stderr, done.returncode) == ("at the end", "an error\n", 3)


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("pass", 0, ""),
        ("raise SystemExit('a message')", 1, "a message\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('x'))).start()", 0, ""),
    ],
)
def test_every_end_is_told(python, tmp_path, text, status, said):
    program = tmp_path / "program.py"
    program.write_text(text)
    done = run(python, program)
    assert done.returncode == status
    assert done.stderr.endswith(said)
    assert done.stdout == ("x\n" if "thread" in text else "")


def test_it_is_warm_unless_a_library_would_have_read_another_environment(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(WARM)
    python = warm.folder() / "python"
    assert run(python, program).stdout == f"{sys.platform == 'linux'}\n"
    harmless = {"OMP_NUM_THREADS": "7", "TORCHINDUCTOR_CACHE_DIR": "x"}  # the latter is set by torch itself
    assert run(python, program, environment=harmless).stdout == f"{sys.platform == 'linux'}\n"
    assert run(python, program, environment={"HF_HUB_OFFLINE": "0"}).stdout == "False\n"
    assert run(python, "-c", WARM).stdout == "False\n"


def test_who_is_killed_takes_the_program_along(python, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import time\nfor _ in range(600):\n    print('.', end='', flush=True)\n    time.sleep(0.01)\n")
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen([python, program], stdout=out, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    while not (tmp_path / "out").stat().st_size:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.2)
    size = (tmp_path / "out").stat().st_size
    time.sleep(0.2)
    assert (tmp_path / "out").stat().st_size == size
