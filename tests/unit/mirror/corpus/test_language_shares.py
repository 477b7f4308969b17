import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from mirror.corpus import language_shares
from mirror.corpus.language_shares import LanguageShares


@pytest.fixture(scope="module")
def shares():
    return LanguageShares()


@pytest.fixture(scope="module")
def identifier():
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


TEXT = st.text(alphabet="aeinrst ABC éß船лод1.,", max_size=200)


@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(1, 40))
def test_shares_are_those_of_py3langid(shares, identifier, texts, strip):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(language_shares, "STRIP", strip)
        found = shares.of(texts, {"en", "sr"})
    expected = [sum(dict(identifier.rank(text))[code] for code in ("en", "sr")) for text in texts]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_what_a_text_gets_depends_on_no_other(shares):
    texts = ["Der alte Fährmann bringt sie.", "The old ferryman takes them.", "", "Лодка ушла."]
    alone = [shares.of([text], {"de"})[0] for text in texts]
    assert shares.of(texts, {"de"}).tolist() == alone
    assert shares.of(texts[::-1], {"de"}).tolist() == alone[::-1]


def test_text_in_which_nothing_is_known_is_as_likely_in_every_language(shares):
    assert shares.of([""], shares.labels).tolist() == pytest.approx([1.0])
    assert shares.of([""], {"de"})[0] == pytest.approx(1 / len(shares._labels))


def test_automaton_forgets_what_is_six_bytes_back(shares):
    draw = np.random.default_rng(7)
    first, second = draw.integers(len(shares._base), size=(2, 100_000)).astype(np.int32)
    assert shares._reach == 6
    for _ in range(6):
        letters = draw.integers(256, size=100_000)
        first, second = (shares._next[shares._base[now] + letters] for now in (first, second))
    assert (first == second).all()
    assert (shares._next.reshape(-1, 256)[:, 255] == 0).all()
