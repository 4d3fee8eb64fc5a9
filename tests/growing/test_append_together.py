"""Several processes append at once, and some are killed: nothing is lost, nothing is torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import lazyzarr as lz
from tests.growing.archive import stored

ROOT = Path(__file__).parents[2]
APPENDER = """
import sys
import lazyzarr as lz
target, source, count = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(count)):
    lz.append(target, source)
    print("done", flush=True)
"""


def appender(target: Path, source: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, str(target), str(source), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def test_none_of_many_is_lost(tmp_path: Path) -> None:
    writers, each = 3, 8
    data = [stored(tmp_path, number) for number in range(writers + 1)]
    target = tmp_path / "view.zarr"
    lz.save(lz.open(tmp_path / f"{writers}.zarr"), target)
    processes = [appender(target, tmp_path / f"{number}.zarr", each) for number in range(writers)]
    for process in processes:
        start(process)
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    values = lz.open(target).read()
    assert values.shape == (3 * (1 + writers * each), 4)
    first = values[::3, 0].tolist()
    assert [first.count(int(one[0, 0])) for one in data] == [each] * writers + [1]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    data = stored(tmp_path, 0)
    target = tmp_path / "view.zarr"
    lz.save(lz.concat([lz.open(tmp_path / "0.zarr")] * 70), target)
    random = np.random.default_rng(0)
    least = 70
    for _ in range(int(os.environ.get("LAZYZARR_KILLS", "4"))):
        with appender(target, tmp_path / "0.zarr", 1000) as process:
            start(process)
            time.sleep(random.uniform(0.0, 0.4))
            os.kill(process.pid, signal.SIGKILL)
            assert process.stdout is not None
            least += process.stdout.read().count("done")
        values = lz.open(target).read()
        assert len(values) >= 3 * least
        np.testing.assert_array_equal(values, np.concatenate([data] * (len(values) // 3)))
        least = len(values) // 3
    lz.append(target, tmp_path / "0.zarr")
    assert not list(target.rglob(".*"))
