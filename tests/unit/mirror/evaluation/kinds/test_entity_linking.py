"""Entity linking."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, read_definition
from mirror.evaluation.evaluate import score_encoder
from mirror.evaluation.kinds.entity_linking import (
    Mention,
    concept_ranks,
    is_exact_match,
    read_dictionary,
)
from tests.fixtures.benchmarks import declare_files

MEDIC = (
    "D01|101||Cold|Common cold\n"
    "D02||Flu\n"
    "102||Influenza\n"
    "D04|102||Grippe|Flu\n"  # one concept with the line before; shares a name with D02
)
CORPUS = (
    "7|t|Colds and flus\n"
    "7|a|Nothing\n"
    "7\t0\t4\tCOLD\tDisease\tMESH:D01\n"
    "7\t0\t4\tgrippe\tModifier\t OMIM:102\n"
    "7\t0\t4\tflu\tDisease\tD02+D99\n"
    "7\t0\t9\tcold or flu\tDisease\tD01|D02\tcold|flu\n"
    "7\t0\t4\tthing\tDisease\t-1\n"
    "7\t0\t4\tmystery\tDisease\tD99\n"
    "7\t0\t4\taspirin\tChemical\tD01\n"
    "7\tCID\tD01\tD02\n"
    "\n"
)
PLACES = {"cold": 0, "common cold": 10, "flu": 90, "influenza": 120, "grippe": 150}


class Compass:
    """An encoder that puts words at degrees of a circle."""

    def __init__(self, **more: float) -> None:
        self.places = {**PLACES, **more}

    def encode(self, texts):
        angles = np.deg2rad([self.places[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def linking(tmp_path: Path, monkeypatch) -> Benchmark:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    files = declare_files(tmp_path, {"medic.txt": MEDIC, "corpus.txt": CORPUS})
    head = 'task = "entity-linking"\nmetric = "acc@1"\ntypes = ["Disease", "Modifier"]\n'
    (tmp_path / "mine.toml").write_text(head + files)
    return read_definition(str(tmp_path / "mine.toml"))


def test_mentions_and_concepts_are_read(linking: Benchmark) -> None:
    dictionary, mentions = linking.load(None)
    assert dictionary.names == ("cold", "common cold", "flu", "influenza", "grippe")
    assert dictionary.concepts == {"D01": 0, "101": 0, "D02": 1, "102": 2, "D04": 2}
    assert [dictionary.names_of([concept]).tolist() for concept in range(3)] == [
        [0, 1],
        [2],
        [3, 4, 2],
    ]
    assert mentions == (
        Mention(("cold",), frozenset({0})),
        Mention(("grippe",), frozenset({2})),
        Mention(("flu",), frozenset({1})),
        Mention(("cold", "flu"), frozenset({0, 1})),
        Mention(("mystery",), frozenset()),
    )


def test_scores_match_values_computed_by_hand(linking: Benchmark) -> None:
    # All but the mention that MEDIC does not know are at a name of theirs.
    result = score_encoder(Compass(mystery=0), linking)
    assert (result.metric, result.n) == ("acc@1", 5)
    assert result.predictions is not None
    assert result.predictions.predicted.tolist() == [1, 1, 1, 1, 0]
    assert tuple(result.extra_metrics) == linking.extra_metric_names()
    assert result.score == result.extra_metrics["acc@5"] == result.baselines["exact match"] == 0.8


def test_a_concept_among_the_first_five_counts_for_acc_at_5_alone(
    linking: Benchmark, tmp_path: Path
) -> None:
    names = [f"name {place}" for place in range(1, 8)]
    (tmp_path / "medic.txt").write_text("".join(f"D{n}||{name}\n" for n, name in enumerate(names)))
    (tmp_path / "corpus.txt").write_text(
        "7|t|Title\n7|a|Nothing\n"
        + "".join(f"7\t0\t4\tthing {n}\tDisease\tD{n}\n" for n in range(7))
    )
    # Every mention is nearest to name 1, then 2, and so on: its rank is its concept's number + 1.
    places = {name: 10.0 * place for place, name in enumerate(names)}
    encoder = Compass(**places, **{f"thing {n}": 0.0 for n in range(7)})
    files = tuple(
        file.model_copy(
            update={"sha256": hashlib.sha256((tmp_path / file.path).read_bytes()).hexdigest()}
        )
        for file in linking.files
    )
    result = score_encoder(encoder, linking.model_copy(update={"files": files}))
    assert (result.n, result.score) == (7, 1 / 7)
    assert result.extra_metrics["acc@5"] == 5 / 7


def test_all_parts_of_a_composite_mention_must_be_right(linking: Benchmark) -> None:
    dictionary, mentions = linking.load(None)
    assert is_exact_match(mentions[3], dictionary)
    assert not is_exact_match(Mention(("cold", "grippe"), frozenset({0, 1})), dictionary)


def ranks(vectors, names, right, medic: str, folder: Path) -> list[float]:
    (folder / "medic.txt").write_text(medic)
    dictionary = read_dictionary(folder / "medic.txt")
    arrays = (np.asarray(side, np.float32) for side in (vectors, names))
    return concept_ranks(*arrays, dictionary, right).tolist()


def test_a_concept_is_as_near_as_its_nearest_name(tmp_path: Path) -> None:
    names = [[1, 0], [0, 1], [0.8, 0.6], [-1, 0]]
    medic = "A||near|far\nB||middle\nC||away\n"
    right = [frozenset({0}), frozenset({1}), frozenset({2}), frozenset({1, 2}), frozenset()]
    assert ranks([[1, 0]] * 5, names, right, medic, tmp_path) == [1, 2, 3, 2, np.inf]


def test_equal_vectors_score_zero_unless_a_name_is_shared(tmp_path: Path) -> None:
    medic = "A||one\nB||two\nC||three|one\n"
    right = [frozenset({0}), frozenset({1}), frozenset({2})]
    same = [[1, 0]] * 3
    assert ranks(same, same, right, medic, tmp_path) == [3, 3, 2]
    apart = [[1, 0], [0, 1], [-1, 0]]
    assert ranks(same, apart, right, medic, tmp_path) == [1, 3, 1]


def test_a_vector_of_zeros_is_an_error(linking: Benchmark) -> None:
    class Zeros(Compass):
        def encode(self, texts):
            return np.zeros((len(texts), 2), np.float32)

    with pytest.raises(BenchmarkError, match="not numbers"):
        score_encoder(Zeros(), linking)


@pytest.mark.parametrize("line", ["D01|Cold", "||Cold", "D01||"])
def test_a_line_without_id_or_name_is_an_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "medic.txt").write_text(f"D1||x\n{line}\n")
    with pytest.raises(BenchmarkError, match="line 2: no `ID"):
        read_dictionary(tmp_path / "medic.txt")


def test_another_number_of_mentions_is_an_error(linking: Benchmark) -> None:
    with pytest.raises(BenchmarkError, match="holds 5 mentions and declares 6"):
        linking.model_copy(update={"items": 6}).load(None)
    with pytest.raises(BenchmarkError, match="no mention to link"):
        linking.model_copy(update={"types": ("Gene",)}).load(None)


@pytest.mark.parametrize(
    ("name", "count", "exact", "unknown", "in_parts"),
    [("ncbi-disease", 960, 496, 0, 0), ("bc5cdr-disease", 4424 - 61, 2465, 75, 53)],
)
def test_the_shipped_corpora_are_as_their_publishers_say(
    shared: Path, name: str, count: int, exact: int, unknown: int, in_parts: int
) -> None:
    dictionary, mentions = read_definition(name).load(None)
    assert (len(dictionary.starts), len(dictionary.concepts)) == (11_914, 14_942)
    assert len(dictionary.names) == 74_979
    assert len(mentions) == count
    assert sum(is_exact_match(mention, dictionary) for mention in mentions) == exact
    assert sum(not mention.concepts for mention in mentions) == unknown
    assert sum(len(mention.parts) > 1 for mention in mentions) == in_parts
