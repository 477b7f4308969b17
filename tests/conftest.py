"""Fixtures that several modules' tests share."""

from __future__ import annotations

import itertools
import os
import pwd
import random
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from time import monotonic

import hypothesis
import pytest

from mirror.paths import CHECKOUT
from mirror.store import Store
from tests.fixtures.ports import free_ports

pytest_plugins = ["tests.fixtures.case_table"]

SHARED = CHECKOUT.parent / "shared"
for kind in ("benchmarks", "corpora"):
    os.environ.setdefault(f"MIRROR_{kind.upper()}", str(SHARED / kind))

SUBJECTS = (
    "baker",
    "farmer",
    "sailor",
    "teacher",
    "doctor",
    "painter",
    "miner",
    "judge",
    "weaver",
    "pilot",
)
VERBS = (
    "watches",
    "carries",
    "paints",
    "finds",
    "sells",
    "repairs",
    "follows",
    "hides",
    "lifts",
    "counts",
)
ADJECTIVES = ("red", "small", "heavy", "broken", "quiet", "golden", "wet", "old", "round", "empty")
OBJECTS = (
    "basket",
    "ladder",
    "lantern",
    "wagon",
    "kettle",
    "mirror",
    "bridge",
    "carpet",
    "engine",
    "letter",
)
PLACES = (
    "garden",
    "harbour",
    "market",
    "forest",
    "kitchen",
    "valley",
    "station",
    "tower",
    "cellar",
    "meadow",
)
SMALL_WORDS = (
    "the",
    "a",
    "in",
    "near",
    "under",
    "behind",
    "and",
    "of",
    "to",
    "is",
    "not",
    "with",
    "one",
    "two",
    "after",
    "before",
)
POSTGRES_PASSWORD = "s3cr3t-in-tests"
POSTGRES_USER = "postgres"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


LIMIT_SECONDS = float(os.environ.get("MIRROR_TEST_SECONDS", "5"))
"""CPU time of a test that is not marked slow."""
WAITING_FACTOR = 6
IMPORT_SECONDS = 10
"""Allowed to a test that is the first in its process to import a part of these libraries.

A part, because most of them import the rest of themselves on first use.
"""
HEAVY_LIBRARIES = {
    "torch",
    "transformers",
    "sentence_transformers",
    "prefect",
    "mlflow",
    "scipy",
    "sqlalchemy",
}

hypothesis.settings.register_profile("fast", max_examples=25, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=100, deadline=None)
hypothesis.settings.load_profile("fast")
for name, value in {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}.items():
    os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip GPU tests where there is no GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a GPU, and this machine has none"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that takes over 5 seconds and is not marked slow.

    The limit is CPU time of this process and its finished children, because wall-clock time on a
    busy machine says more about the neighbours. Waiting is limited to six times as long.
    """
    if item.get_closest_marker("slow"):
        return (yield)
    loaded, began, used_before = set(sys.modules), monotonic(), sum(os.times()[:4])
    result = yield
    used, waited = sum(os.times()[:4]) - used_before, monotonic() - began
    imported = HEAVY_LIBRARIES & {name.partition(".")[0] for name in set(sys.modules) - loaded}
    limit = LIMIT_SECONDS + (IMPORT_SECONDS if imported else 0)
    if used > limit or waited > WAITING_FACTOR * limit:
        pytest.fail(
            f"{item.nodeid} took {used:.1f} s of CPU time and {waited:.1f} s in all, and the limit "
            f"is {limit:g} s: make it faster, or mark it slow. On a machine that is slow "
            "itself, set MIRROR_TEST_SECONDS higher.",
            pytrace=False,
        )
    return result


@pytest.fixture(scope="session", autouse=True)
def own_device_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Device locks of this session, which no other session uses."""
    before = os.environ.get("MIRROR_DEVICE_LOCK_DIR")
    os.environ["MIRROR_DEVICE_LOCK_DIR"] = str(tmp_path_factory.mktemp("device-locks"))
    yield
    if before is None:
        del os.environ["MIRROR_DEVICE_LOCK_DIR"]
    else:
        os.environ["MIRROR_DEVICE_LOCK_DIR"] = before


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty workspace."""
    return Store(tmp_path / "workspace")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of corpora and benchmarks next to the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"no {SHARED}: this test reads corpora or benchmarks from it")
    return SHARED


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """400 different invented sentences of 40 to 70 characters, always the same."""
    parts = itertools.product(SUBJECTS, VERBS, ADJECTIVES, OBJECTS, PLACES)
    drawn = random.Random(7).sample(list(parts), 400)
    return [
        f"the {subject} {verb} a {adjective} {thing} near the {place}"
        for subject, verb, adjective, thing, place in drawn
    ]


@pytest.fixture(scope="session")
def vocabulary() -> dict[str, int]:
    """WordPiece ids of the invented words, and of letters, digits and marks for all else."""
    marks = [mark for mark in string.ascii_lowercase + string.digits + string.punctuation]
    words = [*SUBJECTS, *VERBS, *ADJECTIVES, *OBJECTS, *PLACES, *SMALL_WORDS]
    pieces = [*SPECIAL_TOKENS, *marks, *(f"##{mark}" for mark in marks), *words]
    return {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}


@pytest.fixture(scope="session")
def write_tokenizer(vocabulary: dict[str, int]) -> Callable[..., dict[str, int]]:
    """Write a tokenizer with BERT's special tokens, or others, into a folder."""

    def write(folder: Path, special_tokens: tuple[str, ...] = SPECIAL_TOKENS) -> dict[str, int]:
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        words = [piece for piece in vocabulary if piece not in SPECIAL_TOKENS]
        ids = {piece: number for number, piece in enumerate([*special_tokens, *words])}
        keys = ("pad", "unk", "cls", "sep", "mask")
        names = dict(zip(keys, SPECIAL_TOKENS, strict=True))
        if special_tokens != SPECIAL_TOKENS:
            names = {"pad": "<pad>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
        tokenizer = Tokenizer(models.WordPiece(ids, unk_token=names["unk"]))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{names['cls']} $A {names['sep']}",
            special_tokens=[(names[key], ids[names[key]]) for key in ("cls", "sep")],
        )
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            model_max_length=64,
            **{f"{key}_token": name for key, name in names.items()},
        ).save_pretrained(folder)
        return ids

    return write


@pytest.fixture(scope="session")
def tiny_base(
    tmp_path_factory: pytest.TempPathFactory,
    vocabulary: dict[str, int],
    write_tokenizer: Callable[..., dict[str, int]],
) -> Path:
    """A masked language model of 2 layers, 32 wide, with random weights; not to be written to."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("bases") / "tiny-bert"
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(folder)
    write_tokenizer(folder)
    ids = AutoTokenizer.from_pretrained(folder)("the baker sells one mirror")["input_ids"]
    assert len(set(ids)) == 7
    assert vocabulary["[UNK]"] not in ids
    return folder


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    """A copy of the tiny base that a test may damage."""
    return Path(shutil.copytree(tiny_base, tmp_path / "base"))


@pytest.fixture
def cased_base(tiny_base: Path, vocabulary: dict[str, int], tmp_path: Path) -> Path:
    """The same model with a cased BERT tokenizer, whose vocabulary has no capitals."""
    from transformers import BertTokenizer

    folder = tmp_path / "cased"
    shutil.copytree(tiny_base, folder)
    BertTokenizer(vocab=dict(vocabulary), do_lower_case=False).save_pretrained(folder)
    return folder


def postgres_program(name: str) -> str:
    found = shutil.which(name)
    for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")):
        found = found or str(path)
    if found is None:
        pytest.skip(f"no {name}: this test starts PostgreSQL")
    return found


def postgres_user(folder: Path) -> dict[str, str]:
    # PostgreSQL refuses to run as root.
    if os.geteuid():
        return {}
    try:
        pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user of its own")
    shutil.chown(folder, POSTGRES_USER)
    return {"user": POSTGRES_USER, "group": pwd.getpwnam(POSTGRES_USER).pw_gid}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL, with its password, of an empty PostgreSQL database `mirror`."""
    pytest.importorskip("psycopg")
    initdb, pg_ctl = postgres_program("initdb"), postgres_program("pg_ctl")
    with tempfile.TemporaryDirectory(prefix="mirror-pg-") as name:
        folder = Path(name)
        user = postgres_user(folder)
        password = folder / "password"
        password.write_text(POSTGRES_PASSWORD)
        password.chmod(0o644)
        [port] = free_ports(1)
        data = str(folder / "data")
        settings = ["-U", "mirror", f"--pwfile={password}", "-A", "scram-sha-256", "--no-sync"]
        subprocess.run([initdb, "-D", data, *settings], cwd=folder, check=True, **user)
        options = f"-p {port} -k {folder} -h 127.0.0.1 -F"
        start = [pg_ctl, "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start"]
        subprocess.run(start, cwd=folder, check=True, **user)
        try:
            import psycopg

            url = f"postgresql://mirror:{POSTGRES_PASSWORD}@127.0.0.1:{port}"
            with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE mirror")
            yield f"{url}/mirror"
        finally:
            stop = [pg_ctl, "-D", data, "-m", "immediate", "stop"]
            subprocess.run(stop, cwd=folder, check=True, **user)
