"""`mirror encode`, killed between two parts and repeated."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mirror.encoders.embeddings_file import read_embeddings
from mirror.encoders.encoder import Encoder

ENCODE = """
import os, signal, sys
from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.encoders import write_embeddings
from mirror.encoders.encoder import Encoder

write_embeddings.TEXTS_PER_PART = 100
parts, encode = [], Encoder.encode

def kill_in_the_third_part(self, texts):
    parts.append(texts)
    if len(parts) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(self, texts)

Encoder.encode = kill_in_the_third_part
code = run_guarded(mirror, sys.argv[2:])
print(len(parts))
sys.exit(code)
"""


def test_a_killed_command_continues_to_the_same_bytes(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    texts, encoder = tmp_path / "texts.txt", tmp_path / "encoder"
    texts.write_text("".join(f"{line}\n" for line in sentences[:390]))
    Encoder.load(tiny_base, "mean", 32).save(encoder)

    def run(out: Path, kill_in_part: int) -> subprocess.CompletedProcess[str]:
        arguments = ["encode", str(encoder), str(texts), "--out", str(out)]
        return subprocess.run(
            [sys.executable, "-c", ENCODE, str(kill_in_part), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    assert run(whole, 0).returncode == 0
    assert run(killed, 3).returncode == -9
    assert not killed.exists()
    again = run(killed, 0)
    assert again.stdout.split()[-1] == "2"
    assert "200 of them were encoded before" in again.stderr
    assert killed.read_bytes() == whole.read_bytes()
    assert len(read_embeddings(killed).ids) == 390
    assert not list(tmp_path.glob(".*"))
