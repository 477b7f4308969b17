"""A tuning process killed in the middle of an epoch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from mirror.hashing import file_digests
from mirror.paths import CHECKOUT
from tests.fixtures.tuning import make_paths, short_tuning

CHILD = """
import json, sys, time
from pathlib import Path
from mirror.tuning import trainer, training_log
from mirror.tuning_config import TuningSection
root, base, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
section = TuningSection(**json.loads((root / "settings.json").read_text()))
strings = json.loads((root / "strings.json").read_text())
if seconds:  # every step seems to take long enough for a checkpoint
    clock = iter(range(0, 10**9, 100))
    training_log.time.monotonic = lambda: next(clock)
def slow(step):
    time.sleep(seconds)
    print(step.step, flush=True)
trainer.tune(section, strings, trainer.TrainingPaths(base, root / "out", root / "work"), slow)
"""


def test_a_killed_run_is_resumed_to_the_same_bytes(
    tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    def start(root: Path, seconds: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, str(root), str(tiny_base), str(seconds)],
            cwd=CHECKOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
            stdout=subprocess.PIPE,
        )

    roots = [tmp_path / "complete", tmp_path / "killed"]
    for root in roots:
        make_paths(tiny_base, root)
        (root / "settings.json").write_text(short_tuning(epochs=3).model_dump_json())
        (root / "strings.json").write_text(json.dumps(sentences))
    complete, killed = start(roots[0], 0), start(roots[1], 0.2)
    assert killed.stdout is not None
    for line in killed.stdout:
        if int(line) == 14:  # in the middle of the second epoch
            break
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(60) == -signal.SIGKILL
    assert list((roots[1] / "work").glob("checkpoint-*"))
    assert not list((roots[1] / "out").iterdir())
    (roots[1] / "work" / "checkpoint-99999999").mkdir()  # one that is damaged
    again = start(roots[1], 0)
    steps = [int(line) for line in again.communicate(timeout=120)[0].split()]
    assert again.returncode == 0
    assert 10 < steps[0] <= 15
    assert steps[-1] == 30
    assert complete.communicate(timeout=120)[0].split()[0] == "1"
    assert file_digests(roots[1] / "out") == file_digests(roots[0] / "out")
