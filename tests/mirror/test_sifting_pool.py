from mirror import sifting_pool
from mirror.documents import Document
from mirror.recipe import parse_recipe
from mirror.sifting import Sifter
from mirror.sifting_pool import sift_documents

RECIPE = parse_recipe(
    {
        "language": "en",
        "domain": "test",
        "level": "sentence",
        "corpus": {"source": "files", "paths": ["none"]},
        "base": {"path": "models/none"},
        "evaluation": {"benchmarks": ["none"]},
        "registry": {"model": "none"},
    },
    name="test",
    place="test",
)


def test_processes_give_the_rows_that_one_gives_in_the_same_order(monkeypatch, sentences):
    documents = [
        Document(f"{text.capitalize()}. Dr. Oar saw {number} boats.", f"source {number % 3}")
        for number, text in enumerate(sentences)
    ]
    alone = list(map(Sifter(RECIPE).sift, documents))
    assert sum(len(sifted.rows) for sifted in alone) == 800
    monkeypatch.setattr(sifting_pool, "ALONE", 10)
    monkeypatch.setattr(sifting_pool, "BATCH_DOCUMENTS", 7)
    monkeypatch.setattr(sifting_pool, "thread_count", lambda: 2)
    assert list(sift_documents(RECIPE, iter(documents))) == alone
    assert list(sift_documents(RECIPE, iter(documents[:10]))) == alone[:10]


def test_batches_hold_all_documents_and_stay_small(monkeypatch):
    monkeypatch.setattr(sifting_pool, "BATCH_CHARACTERS", 100)
    documents = [Document("oar " * (number % 30), "a") for number in range(100)]
    batches = list(sifting_pool._batches(documents[0], iter(documents[1:])))
    assert [document for batch in batches for document in batch] == documents
    assert all(sum(len(document.text) for document in batch[:-1]) < 100 for batch in batches)
