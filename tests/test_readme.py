"""Every command of the README, executed in a copy of the project in the order in which a reader meets them.

The first two blocks set up environments of their own; ``.ci/run`` takes them from the README and executes them.
"""

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_job import wait_for

from tfbs.sequences import decode
from tfbs.simulation import Simulation, simulate

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SERVERS = {"mlflow ui": "http://127.0.0.1:5000/health", "mlflow models serve": "http://127.0.0.1:5001/ping"}

OUTPUTS: dict[str, str] = {}
"""What the commands have printed."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the files that the README's user has."""
    folder = tmp_path_factory.mktemp("readme") / "tfbs"
    ignored = shutil.ignore_patterns(
        ".git", "mlflow.db*", "[0-9]*", "models", "__pycache__", ".*_cache", "*.egg-info", ".venv"
    )
    shutil.copytree(ROOT, folder, ignore=ignored)
    codes, labels, _ = simulate(Simulation(n_positives=120, n_negatives=120))
    sequences = decode(codes)
    for name, label in (("peaks.fa", 1), ("background.fa", 0)):
        chosen = [sequences[i] for i in np.flatnonzero(labels == label)]
        (folder / name).write_text("".join(f">{i}\n{s.lower()}\n" for i, s in enumerate(chosen)))
    rows = [f"{s},{label}" for s, label in zip(sequences, labels, strict=True)]
    (folder / "sites.csv").write_text("\n".join(["seq,bound", *rows]) + "\n")
    (folder / "sequences.txt.gz").write_bytes(gzip.compress("\n".join(sequences).encode()))
    (folder / "labels.txt").write_text("\n".join(map(str, labels)) + "\n")
    return folder


@pytest.fixture(scope="module")
def environment():
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_") or key == "MLFLOW_ENV_ROOT"}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return env | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


@pytest.fixture(scope="module")
def servers():
    started = []
    yield started
    for server in started:
        os.killpg(server.pid, signal.SIGKILL)


def test_the_first_two_blocks_are_what_ci_runs():
    assert BLOCKS[0].startswith("pip install mlflow==")
    assert BLOCKS[1] == 'pip install -e ".[test]" && pytest\n'
    script = (ROOT / ".ci/run").read_text()
    assert 'bash -euo pipefail -c "$(block 1)"' in script
    assert 'bash -euo pipefail -c "$(block 2)"' in script


@pytest.mark.parametrize("command", BLOCKS[2:])
def test_command(project, environment, servers, command):
    if "packt" in command and not os.environ.get("TFBS_DATA_DIR"):
        pytest.skip("needs the published files: set TFBS_DATA_DIR")
    address = next((url for start, url in SERVERS.items() if command.startswith(start)), None)
    if address:
        log = (project / f"server{len(servers)}.log").open("w")
        servers.append(
            subprocess.Popen(
                ["bash", "-c", command], cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        )
        wait_for(address, 180)
        return
    done = subprocess.run(["bash", "-c", command], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    OUTPUTS[command] = done.stdout
    if command.startswith("curl"):
        [row] = json.loads(done.stdout)["predictions"]
        assert 0 <= row["probability"] <= 1
        assert len(row["contributions"]) == 50


@pytest.mark.parametrize("code", PYTHON)
def test_python(project, environment, code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n"], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_table_of_the_published_comparison_matches_its_script(environment):
    """Two of the ten seeds where the command has not just been executed; a change of method shows in either."""
    if not os.environ.get("TFBS_DATA_DIR"):
        pytest.skip("needs the published files: set TFBS_DATA_DIR")
    printed = next((text for command, text in OUTPUTS.items() if "published_comparison" in command), None)
    if printed is None:
        command = [sys.executable, "-m", "benchmarks.published_comparison", "--dataset", "packt", "--seeds", "2"]
        printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    found = [float(value) for value in re.findall(r"^  auroc +(\S+) ", printed, re.MULTILINE)]
    row = re.search(r"\| AUROC of probabilities \|.*", README)[0]
    ranges = [tuple(map(float, pair)) for pair in re.findall(r"\(([\d.]+) to ([\d.]+)\)", row)]
    assert len(found) == len(ranges) == 2
    assert all(low - 5e-4 <= value <= high + 5e-4 for value, (low, high) in zip(found, ranges, strict=True))
