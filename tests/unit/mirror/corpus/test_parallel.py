import os
import signal
import subprocess
import sys
import time

import pytest

from mirror.corpus import parallel
from mirror.corpus.filtering import DocumentFilter
from mirror.corpus.parallel import filter_documents
from mirror.documents import Document
from mirror.paths import CHECKOUT
from tests.fixtures.recipes import make_recipe

RECIPE = make_recipe()

KILLED = """
import itertools, json, multiprocessing, sys
from mirror.corpus import parallel
from mirror.documents import Document
from mirror.recipe import parse_recipe
if __name__ == "__main__":
    parallel.SERIAL_DOCUMENTS = 1
    parallel.thread_count = lambda: 2
    recipe = parse_recipe(json.loads(sys.argv[1]), name="test", source="test")
    endless = (Document(f"Boat {number} left.", "a") for number in itertools.count())
    for number, _ in enumerate(parallel.filter_documents(recipe, endless)):
        if number == 50:
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)
            sys.stdin.read()
"""


def lives(pid):
    """Return whether a process runs; a zombie does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True)
    return listed.stdout.strip()[:1] not in ("", "Z")


@pytest.fixture
def killed_script(tmp_path):
    """A process that filters documents endlessly in two others."""
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, str(script), RECIPE.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    yield process
    process.kill()
    process.wait()


def test_processes_end_with_a_run_that_is_killed(killed_script):
    pids = killed_script.stdout.readline().split()
    try:
        assert len(pids) == 2
        assert all(map(lives, pids))
        killed_script.send_signal(signal.SIGKILL)
        killed_script.wait()
        deadline = time.monotonic() + 20
        while any(map(lives, pids)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not any(map(lives, pids))
    finally:
        for pid in filter(lives, pids):
            os.kill(int(pid), signal.SIGKILL)


def test_processes_give_the_same_rows_in_the_same_order_as_one(monkeypatch, sentences):
    documents = [
        Document(f"{text.capitalize()}. Dr. Oar saw {number} boats.", f"source {number % 3}")
        for number, text in enumerate(sentences)
    ]
    serial = DocumentFilter(RECIPE).filter(documents)
    assert serial.rows.num_rows == 800
    monkeypatch.setattr(parallel, "SERIAL_DOCUMENTS", 10)
    monkeypatch.setattr(parallel, "BATCH_DOCUMENTS", 7)
    monkeypatch.setattr(parallel, "thread_count", lambda: 2)
    batches = list(filter_documents(RECIPE, iter(documents)))
    assert [filtered.documents for filtered in batches] == [7, 3, *[7] * 55, 5]
    assert b"".join(filtered.digests for filtered in batches) == serial.digests
    for column in ("text", "source", "position", "count", "reason"):
        rows = [value for filtered in batches for value in filtered.rows[column].to_pylist()]
        assert rows == serial.rows[column].to_pylist()
    [first, second] = filter_documents(RECIPE, iter(documents[:10]))
    assert first.documents + second.documents == 10


def test_a_process_that_filters_loads_neither_numpy_nor_pyarrow():
    code = (
        "import sys; from mirror.corpus.filtering import DocumentFilter;"
        "from mirror.documents import Document; from mirror.recipe import Recipe;"
        "filter = DocumentFilter(Recipe.model_validate_json(sys.argv[1])).filter;"
        "filter([Document('The boat left the harbour. ' * 9, 'a')]);"
        "print(sorted({'numpy', 'pyarrow', 'pandas'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, RECIPE.model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert done.stdout.strip() == "[]"


def test_batches_contain_all_documents_and_are_bounded(monkeypatch):
    monkeypatch.setattr(parallel, "BATCH_CHARACTERS", 100)
    documents = [Document("oar " * (number % 30), "a") for number in range(100)]
    batches = list(parallel._batches(documents))
    assert [document for batch in batches for document in batch] == documents
    assert all(sum(len(document.text) for document in batch[:-1]) < 100 for batch in batches)
    assert list(parallel._batches([])) == []
