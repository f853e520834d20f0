"""A real SLURM cluster on one machine: Debian's slurm-wlm and munge, three virtual nodes, two GPUs that are none.

Nodes `cpu1` and `cpu2` make the partition `cpu`, `gpu1` with two GPUs of the model `fake` the partition `gpu`. All of
it runs as root, without systemd, and lies in one folder, but for links in /etc/slurm, where clients inside a job look.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ETC = Path("/etc/slurm")
COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")
NODES = ("cpu1", "cpu2", "gpu1")

#: CPUs and memory are declared, not detected. A job over its memory is killed within a second. Finished jobs stay in
#: squeue for 15 minutes. `cred_expire` is also how long a requeued job waits: two minutes if not said.
SLURM_CONF = """
ClusterName=virtual
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
PropagateResourceLimits=NONE
ReturnToService=1
SlurmdTimeout=300
InactiveLimit=0
KillWait=2
MinJobAge=900
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
NodeName=cpu[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=4 RealMemory=64000 State=UNKNOWN
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17011 CPUs=8 RealMemory=64000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=cpu Nodes=cpu[1-2] Default=YES MaxTime=2880 State=UP
PartitionName=gpu Nodes=gpu1 MaxTime=2880 State=UP
"""
GRES_CONF = """
AutoDetect=off
NodeName=gpu1 Name=gpu Type=fake File={folder}/gpu[0-1]
"""
CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"


def why_not() -> str | None:
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "needs slurm: virtual nodes are started as root"
    if missing := [
        command for command in COMMANDS if not shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin")
    ]:
        return f"needs slurm: no {missing[0]} (Debian: slurm-wlm munge)"
    if (ETC / "slurm.conf").exists() and not (ETC / "slurm.conf").is_symlink():
        return f"needs slurm: {ETC} has the configuration of another cluster"
    return None


#: What `--profile profiles/slurm` needs to know of this cluster, with waiting times for a single machine.
SITE = {
    "partitions": {"cpu": {"max_runtime": "2d"}, "gpu": {"max_runtime": "2d", "max_gpu": 2}},
    "gpu-resources": {"gpu_model": "fake"},
    "set-threads": {"score_frames": 2, "evaluate": 2},
    "jobs": 4,
    "latency-wait": 20,
    "slurm-init-seconds-before-status-checks": 1,
    "seconds-between-status-checks": 1,
}

#: `python -c` of this is Snakemake, but its executor looks every second. As it is, it waits ten seconds longer after
#: each look that found no job finished, which is most of the time that a small workflow takes.
IMPATIENT_SNAKEMAKE = """
import snakemake_executor_plugin_slurm, snakemake.cli
waiting = property(lambda self: 1, lambda self, seconds: None)
snakemake_executor_plugin_slurm.Executor.next_seconds_between_status_checks = waiting
snakemake.cli.main()
"""


def ask(*command: str) -> str:
    """What a client of SLURM prints; it never waits for a controller that is gone."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start the cluster with its files in `folder`; afterwards stop exactly what was started.

    A second cluster on the same machine, also one of another process, waits for the first to end.
    """
    with open("/run/lock/virtual-slurm.lock", "w") as lock, ExitStack() as stack:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        stack.callback(_stop, folder)
        _configure(folder)
        _start_munge(folder)
        _start("slurmctld", "-i")
        for node in NODES:
            (folder / "spool" / node).mkdir(parents=True)
            _start("slurmd", "-N", node)
        _wait_for_nodes(folder)
        stack.callback(subprocess.run, ["scancel", "--quiet", "--user=root"], timeout=20)
        yield


def _configure(folder: Path) -> None:
    (folder / "state").mkdir()
    host = socket.gethostname().split(".")[0]
    for gpu in ("gpu0", "gpu1"):  # what /dev/null is; nobody opens them
        os.mknod(folder / gpu, 0o666 | 0o020000, os.makedev(1, 3))
    ETC.mkdir(exist_ok=True)
    for name, text in (("slurm", SLURM_CONF), ("gres", GRES_CONF), ("cgroup", CGROUP_CONF)):
        (folder / f"{name}.conf").write_text(text.format(host=host, folder=folder))
        link = ETC / f"{name}.conf"
        link.unlink(missing_ok=True)
        link.symlink_to(folder / f"{name}.conf")


def _start_munge(folder: Path) -> None:
    home = folder / "munge"
    home.mkdir(mode=0o755)
    (home / "key").write_bytes(os.urandom(1024))
    (home / "key").chmod(0o600)
    _start("munged", "--force", *(f"--{name}={home / file}" for name, file in (
        ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"),
    )))  # fmt: skip


def _start(*command: str) -> None:
    path = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    subprocess.run(command, check=True, env=path, timeout=60, stdout=subprocess.DEVNULL)


def _wait_for_nodes(folder: Path, seconds: float = 60) -> None:
    deadline, states = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        try:
            states = ask("sinfo", "--noheader", "--Node", "--format=%N %t")
        except subprocess.SubprocessError as error:
            states = str(error)
        if sorted(states.split("\n")[:-1]) == [f"{node} idle" for node in NODES]:
            return
        time.sleep(0.2)
    raise RuntimeError(f"the nodes did not come up: {states}\n{(folder / 'slurmctld.log').read_text()[-2000:]}")


def _stop(folder: Path) -> None:
    """Stop the daemons named in our own pid files, nodes first."""
    for file in (*sorted(folder.glob("slurmd-*.pid")), folder / "slurmctld.pid", folder / "munge" / "pid"):
        if not file.exists():
            continue
        pid = int(file.read_text())
        for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            try:
                os.kill(pid, sign)
                for _ in range(seconds * 10):
                    os.kill(pid, 0)
                    time.sleep(0.1)
            except ProcessLookupError:
                break
    for name in ("slurm", "gres", "cgroup"):
        link = ETC / f"{name}.conf"
        if link.is_symlink() and link.readlink() == folder / f"{name}.conf":
            link.unlink()
