"""A real SLURM on this machine for the tests: several virtual nodes, fake GPUs, accounting.

    python tests/launch/slurm_cluster.py install              # Debian, as root: about 10 s
    python tests/launch/slurm_cluster.py start [FOLDER]       # prints what to export
    python tests/launch/slurm_cluster.py stop [FOLDER]

No systemd, no change to the system outside of FOLDER (but for the installed packages), all
daemons on 127.0.0.1 and on sockets of their own.  A folder that is started again starts afresh.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from slurm_config import DBD_CONF, SLURM_CONF, SQL

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge", "slurmdbd", "mariadb-server")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "slurmdbd", "mariadbd")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def why_not() -> str | None:
    """What keeps this machine from running the cluster, or None."""
    if os.geteuid() != 0:
        return "a SLURM of its own needs root"
    if not Path("/etc/debian_version").exists():
        return "a SLURM of its own needs Debian's packages"
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"{', '.join(missing)} missing: run python {sys.argv[0]} install"
    return None


def install() -> None:
    """Install Debian's packages; nothing of them is started."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([*apt, "update"], check=True, env=environment)
    command = [*apt, "install", "-y", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, env=environment)


class Cluster:
    """The daemons, each of which can be killed and started alone."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.folder = folder
        self.nodes = [f"n{k + 1}" for k in range(nodes)]
        self.run, self.log, self.etc = folder / "run", folder / "log", folder / "etc"
        self.environment = {
            **os.environ,
            "PATH": PATH,
            "SLURM_CONF": str(self.etc / "slurm.conf"),
        }

    # --- all of it ---

    def start(self) -> None:
        """Start afresh and wait until every node is idle."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._configure()
        self._start_munge()
        self._start_database()
        self.start_dbd()
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.wait_idle()

    def stop(self) -> None:
        """End every daemon and whatever is left of jobs."""
        if self.alive("slurmctld"):
            with contextlib.suppress(subprocess.SubprocessError, TimeoutError):
                self.command("scancel", "-u", "root")
                wait_for(lambda: not self.command("squeue", "-h"), 5, "the queue to empty")
        for name in [*(f"slurmd.{n}" for n in self.nodes), "slurmctld", "slurmdbd", "mariadbd"]:
            self.kill(name, signal.SIGTERM)
        self.kill("munged", signal.SIGTERM)
        for pid in self.job_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_idle(self, seconds: float = 240) -> None:
        """Wait until every node can take jobs."""

        def idle() -> bool:
            states = self.command("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split()
            return states.count("idle") == len(self.nodes)

        wait_for(idle, seconds, "idle nodes", self.log)

    def command(self, *words: str, timeout: float = 30) -> str:
        """Output of a SLURM command; one that fails says in its error what SLURM said."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        if done.returncode:
            said = f"{shlex.join(words)} said: {done.stderr.strip() or done.stdout.strip()}"
            raise subprocess.SubprocessError(said)
        return done.stdout

    # --- the faults ---

    def kill_controller(self) -> None:
        """The controller is gone at once, with what it did in its last seconds."""
        self.kill("slurmctld", signal.SIGKILL)

    def wait_saved(self) -> None:
        """Wait until the controller has written its jobs to its disk, as it does now and then."""
        now, saved = time.time(), self.folder / "state" / "job_state"
        wait_for(lambda: saved.exists() and saved.stat().st_mtime > now, 240, "job_state", self.log)

    def start_controller(self) -> None:
        """Start the controller, and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D")
        wait_for(lambda: "UP" in self.command("scontrol", "ping"), 240, "slurmctld", self.log)

    def kill_node(self, node: str) -> None:
        """The node's daemon is gone; its jobs run on, unwatched."""
        self.kill(f"slurmd.{node}", signal.SIGKILL)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._start(f"slurmd.{node}", "slurmd", "-D", "-N", node)

    def start_dbd(self) -> None:
        """Start the accounting daemon, and wait until it answers."""

        def answers() -> bool:
            if not self.alive("slurmdbd"):
                self._start("slurmdbd", "slurmdbd", "-D")
            return bool(self.command("sacctmgr", "-n", "list", "stats", timeout=10))

        wait_for(answers, 240, "slurmdbd", self.log)

    def kill_dbd(self) -> None:
        """No accounting any more."""
        self.kill("slurmdbd", signal.SIGKILL)

    # --- processes ---

    def alive(self, name: str) -> bool:
        """Whether a daemon runs."""
        pid = self._pid(name)
        return pid is not None and process_state(pid) not in "ZX"

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a daemon and wait until it is gone; a stubborn one is killed."""
        pid = self._pid(name)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        try:
            wait_for(lambda: process_state(pid) in "ZX", 15, f"{name} to end")
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        (self.run / f"{name}.pid").unlink(missing_ok=True)

    def job_processes(self) -> list[int]:
        """Processes of this cluster's jobs, by the configuration in their environment."""
        wanted = f"SLURM_CONF={self.etc / 'slurm.conf'}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                variables = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if wanted in variables and any(v.startswith(b"SLURM_JOB_ID=") for v in variables):
                found.append(int(folder.name))
        return [pid for pid in found if pid != os.getpid()]

    def _pid(self, name: str) -> int | None:
        try:
            return int((self.run / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def _start(self, name: str, *command: str) -> None:
        with (self.log / f"{name}.out").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.run / f"{name}.pid").write_text(str(process.pid))

    # --- setting up ---

    def _configure(self) -> None:
        for folder in (
            self.run,
            self.log,
            self.etc,
            *(self.folder / x for x in ("state", "spool", "dev")),
        ):
            folder.mkdir(parents=True)
        (self.folder / "munge").mkdir(mode=0o700)
        first = free_ports(3 + len(self.nodes))
        values = {
            "host": socket.gethostname().partition(".")[0],
            "user": "root",
            "folder": self.folder,
            "run": self.run,
            "log": self.log,
            "ctld": first,
            "dbd": first + 1,
            "sql": first + 2,
            "first": first + 3,
            "last": first + 2 + len(self.nodes),
            "nodes": len(self.nodes),
        }
        (self.etc / "slurm.conf").write_text(SLURM_CONF.format(**values))
        dbd = self.etc / "slurmdbd.conf"
        dbd.touch(mode=0o600)
        dbd.write_text(DBD_CONF.format(**values))
        (self.etc / "ports.json").write_text(json.dumps(values, default=str))
        # a gres called gpu must name character devices: copies of /dev/null do
        for k in range(2):
            os.mknod(self.folder / f"dev/gpu{k}", 0o600 | 0o020000, os.makedev(1, 3))
        gres = f"NodeName=n[1-{len(self.nodes)}] Name=gpu File={self.folder}/dev/gpu[0-1]\n"
        (self.etc / "gres.conf").write_text(gres)

    def _start_munge(self) -> None:
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        own = {"key-file": key, "socket": self.run / "munge.sock", "num-threads": 2}
        own |= {"pid-file": self.run / "munged.pidfile", "log-file": self.log / "munged.log"}
        own |= {"seed-file": self.folder / "munge" / "seed"}
        options = [f"--{name}={value}" for name, value in own.items()]
        self._start("munged", "munged", "--foreground", "--force", *options)
        wait_for(lambda: (self.run / "munge.sock").exists(), 120, "munged")

    def _start_database(self) -> None:
        data, port = self.folder / "database", json.loads((self.etc / "ports.json").read_text())
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                "--user=root",
                f"--datadir={data}",
                "--auth-root-authentication-method=socket",
                "--skip-test-db",
            ],
            env=self.environment,
            check=True,
            capture_output=True,
        )
        script = self.folder / "database.sql"
        script.write_text(SQL)
        self._start(
            "mariadbd",
            "mariadbd",
            "--no-defaults",
            "--user=root",
            f"--datadir={data}",
            f"--socket={self.run}/sql.sock",
            f"--port={port['sql']}",
            "--bind-address=127.0.0.1",
            f"--pid-file={self.run}/sql.pidfile",
            f"--init-file={script}",
            "--skip-name-resolve",
            # the data lives as long as the tests
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-flush-method=nosync",
            # slurmdbd refuses less
            "--innodb-lock-wait-timeout=900",
            "--innodb-buffer-pool-size=128M",
        )
        login = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port['sql']}"]
        query = [*login, "-uslurm", "-pslurm", "-e", "select 1", "accounting"]
        wait_for(lambda: bool(self.command(*query)), 240, "mariadbd", self.log)


def wait_for(
    condition: Callable[[], bool], seconds: float, what: str, logs: Path | None = None
) -> None:
    """Poll until ``condition`` holds; commands that fail count as "not yet".

    Args:
        logs: folder of the daemons' logs, whose ends go into the error.

    Raises:
        TimeoutError: it does not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.SubprocessError):
            if condition():
                return
        if time.monotonic() > deadline:
            ends = [
                f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}"
                for path in sorted(logs.iterdir() if logs else ())
            ]
            raise TimeoutError("\n".join([f"waited {seconds:.0f} s for {what}", *ends]))
        time.sleep(0.1)


def process_state(pid: int) -> str:
    """The kernel's letter for a process's state; "X" if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def free_ports(count: int) -> int:
    """The first of ``count`` consecutive ports that nobody listens on."""
    for _ in range(100):
        first = random.randrange(20_000, 32_000 - count)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise OSError("no free ports")


def main() -> None:
    """Install, start or stop, from the command line."""
    words = dict(enumerate(sys.argv[1:]))
    cluster = Cluster(Path(words.get(1, "/tmp/tevit-slurm")))
    if words.get(0) == "install":
        install()
    elif words.get(0) == "start":
        if problem := why_not():
            sys.exit(problem)
        cluster.start()
        print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}")
    elif words.get(0) == "stop":
        cluster.stop()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
