"""SLURM's commands as far as launching needs them, with the whole cluster in one JSON file.

Nothing runs by itself: the test says what becomes of a job, or runs its script for real.
This file is both the commands (as a script, by the name it is called under) and their driver.
"""

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "srun")


@contextlib.contextmanager
def cluster(path):
    """The cluster's state, to read and change, one process at a time."""
    with Path(path).open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        state = json.load(stream)
        try:
            yield state
        finally:
            stream.seek(0)
            stream.truncate()
            json.dump(state, stream)


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(1)


def sbatch(state, arguments):
    if state["refuses"]:
        fail(f"sbatch: error: {state['refuses']}")
    text = Path(arguments[0]).read_text()
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(.*)$", text, re.MULTILINE))
    options = {key: value.strip("'") for key, value in options.items()}
    job_id = str(state["next"])
    state["next"] += 1
    array = options.get("array")
    count = int(array.partition("%")[0].partition("-")[2]) + 1 if array else 1
    # the environment counts more than the script, as in the real one
    if os.environ.get("SBATCH_PARTITION"):
        options["partition"] = os.environ["SBATCH_PARTITION"]
    live = sum(t["state"] == "PENDING" for j in state["jobs"].values() for t in j["tasks"].values())
    if state["submit_limit"] is not None and live + count > state["submit_limit"]:
        fail(
            "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: "
            "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        )
    state["jobs"][job_id] = {
        "name": options["job-name"],
        "comment": options.get("comment", ""),
        "script": text,
        "options": options,
        "array": bool(array),
        "tasks": {str(k): {"state": "PENDING", "restarts": 0} for k in range(count)},
    }
    if state["refuses_made_jobs"]:
        for task in state["jobs"][job_id]["tasks"].values():
            task["state"] = "FAILED"
        fail(f"sbatch: error: Batch job submission failed: {state['refuses_made_jobs']}")
    if state["silent_sbatch"]:
        fail("sbatch: error: Batch job submission failed: Socket timed out")
    print(f"Submitted batch job {job_id}")


def squeue(state, arguments):
    jobs = state["jobs"]
    if "-u" in arguments:
        for user in arguments[arguments.index("-u") + 1].split(","):
            if not user.isdigit():
                print(f"squeue: error: Invalid user: {user}", file=sys.stderr)
                return
    if "-j" in arguments:
        wanted = arguments[arguments.index("-j") + 1].split(",")
        jobs = {job_id: job for job_id, job in jobs.items() if job_id in wanted}
        if not jobs:
            fail("slurm_load_jobs error: Invalid job id specified")
    only = os.environ.get("SQUEUE_PARTITION")
    for job_id, job in jobs.items():
        if only and job["options"].get("partition") != only:
            continue
        for index, task in job["tasks"].items():
            if not task.get("forgotten"):
                shown = index if job["array"] else "N/A"
                columns = (job_id, shown, task["state"], task.get("node", ""))
                print("|".join((*columns, task.get("reason", "None"), job["name"], job["comment"])))


def sacct(state, arguments):
    if state["sacct_fails"]:
        fail("Slurm accounting storage is disabled")
    wanted = arguments[arguments.index("-j") + 1].split(",")
    for job_id in wanted:
        job = state["jobs"].get(job_id, {"tasks": {}})
        for index, task in job["tasks"].items():
            name = f"{job_id}_{index}" if job["array"] else job_id
            if not task.get("lost"):
                verdict = task.get("acct", task["state"])
                print(f"{name}|{verdict}|{task.get('exit', '0:0')}|n1|{job['name']}")


def tasks_named(state, word):
    job_id, _, index = word.partition("_")
    tasks = state["jobs"].get(job_id, {"tasks": {}})["tasks"]
    return [tasks[index]] if index else list(tasks.values())


def scancel(state, arguments):
    only = [word.partition("=")[2] for word in arguments if word.startswith("--state=")]
    for word in arguments:
        for task in tasks_named(state, word):
            if not only or task["state"] in only:
                task["state"] = "CANCELLED"


def scontrol(state, arguments):
    if arguments[:2] == ["show", "config"]:
        for key, value in state["config"].items():
            print(f"{key:<24}= {value}")
    elif arguments[0] in ("hold", "release"):
        reason = "JobHeldUser" if arguments[0] == "hold" else "None"
        for word in arguments[1:]:
            for task in tasks_named(state, word):
                task["reason"] = reason
    elif arguments[0] == "requeue":
        for task in tasks_named(state, arguments[1]):
            task["state"] = "PENDING"
            task["restarts"] += 1


def srun(arguments):
    """Start every task of the step here, its output where srun would put it."""
    output, command = "", list(arguments)
    while command[0].startswith("--"):
        if command.pop(0) == "--output":
            output = command.pop(0)
    count = int(os.environ.get("SLURM_NTASKS", 1))
    running = []
    for rank in range(count):
        where = output.replace("%t", str(rank))
        for key, name in (("%A", "SLURM_ARRAY_JOB_ID"), ("%a", "SLURM_ARRAY_TASK_ID")):
            where = where.replace(key, os.environ.get(name, ""))
        where = where.replace("%j", os.environ["SLURM_JOB_ID"])
        with Path(where).open("a") as log:
            environment = {**os.environ, "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
            running.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
    sys.exit(max(process.wait() for process in running))


def main():
    command = Path(sys.argv[0]).name
    if command == "srun":
        srun(sys.argv[1:])
    path = os.environ["FAKE_SLURM"]
    with Path(path + ".calls").open("a") as calls:
        print(command, *sys.argv[1:], file=calls)
    with cluster(path) as state:
        if command in state["hangs"]:
            signal.pause()
        if state["down"]:
            fail(f"{command}: error: Unable to contact slurm controller")
        globals()[command](state, sys.argv[1:])


class FakeSlurm:
    """What a test does to the cluster."""

    def __init__(self, folder):
        self.path = folder / "cluster.json"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        state = {
            "next": 100,
            "jobs": {},
            "down": False,
            "hangs": [],
            "refuses": None,
            "silent_sbatch": False,
            "refuses_made_jobs": None,
            "submit_limit": None,
            "sacct_fails": False,
            "config": {"ClusterName": "fake", "MaxArraySize": "1001"},
        }
        self.path.write_text(json.dumps(state))
        for name in COMMANDS:
            script = self.bin / name
            code = Path(__file__).read_text()
            script.write_text(f"#!{sys.executable} -SE\n{code}")
            script.chmod(0o755)

    def install(self, monkeypatch):
        monkeypatch.setenv("FAKE_SLURM", str(self.path))
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")

    def set(self, **facts):
        with cluster(self.path) as state:
            state.update(facts)

    def task(self, job_id, index=0, **facts):
        """Change what the cluster says of one task."""
        with cluster(self.path) as state:
            state["jobs"][str(job_id)]["tasks"][str(index)].update(facts)

    def state(self, job_id, index=0):
        return json.loads(self.path.read_text())["jobs"][str(job_id)]["tasks"][str(index)]["state"]

    @property
    def jobs(self):
        return json.loads(self.path.read_text())["jobs"]

    def lose(self, job_id):
        """The controller forgets a job that it had accepted."""
        with cluster(self.path) as state:
            del state["jobs"][str(job_id)]

    def calls(self, command=None):
        try:
            lines = Path(f"{self.path}.calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if command is None or line.split()[0] == command]

    def forget_calls(self):
        Path(f"{self.path}.calls").unlink(missing_ok=True)

    def start(self, job_id, index=0):
        """Run a task's script for real, as a node would; returns the process."""
        job = self.jobs[str(job_id)]
        restarts = job["tasks"][str(index)]["restarts"]
        environment = dict(os.environ)
        environment["SLURM_JOB_ID"] = str(job_id) if not job["array"] else f"9{job_id}{index}"
        environment["SLURM_NTASKS"] = job["options"].get("ntasks-per-node", "1")
        environment["SLURM_STEP_NUM_TASKS"] = environment["SLURM_NTASKS"]
        if job["array"]:
            environment["SLURM_ARRAY_JOB_ID"] = str(job_id)
            environment["SLURM_ARRAY_TASK_ID"] = str(index)
        if restarts:
            environment["SLURM_RESTART_COUNT"] = str(restarts)
        self.task(job_id, index, state="RUNNING", node="n1")
        return subprocess.Popen(
            ["bash", "-c", job["script"]],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, job_id, index=0):
        """Run a task's script to its end, and let the cluster say how it ended."""
        code = self.start(job_id, index).wait(timeout=240)
        if self.state(job_id, index) == "RUNNING":
            self.task(job_id, index, state="FAILED" if code else "COMPLETED", exit=f"{code}:0")
        return code


if __name__ == "__main__":
    main()
