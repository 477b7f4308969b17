"""Declared studies: shipped ones agree with the paper, invalid ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import StudyError
from mirror.evaluation.benchmark import definition_names
from mirror.experiments.study import Study, find_study, read_study, study_names

SHIPPED = [
    "ablation",
    "better-sentences",
    "better-words",
    "controlled-dropout",
    "crop-settings",
    "documents",
    "dropout",
    "encoder-rate",
    "epochs",
    "isotropy",
    "mask-length",
    "masking",
    "number-of-strings",
    "plain-rate",
    "random-strings",
    "random-weights",
    "rate-and-temperature",
    "views",
]
WHOLE = """
title = "Masks"
source = "Table 0"
finding = "None."
levels = ["sentence"]
[vary.tuning]
mask_length = [2, 5]
"""


def published(study: Study, series: str, measure: str, level: str = "sentence") -> list[float]:
    """Return a published series, in the order of the study's variants."""
    [found] = [
        each
        for each in study.published
        if (each.series, each.metric, each.level) == (series, measure, level)
    ]
    return [found.values[point.label] for point in study.all_variants]


def test_these_are_shipped_and_sound() -> None:
    assert study_names() == SHIPPED
    known = set(definition_names())
    for name in SHIPPED:
        study = find_study(name)
        assert {each for names in study.benchmarks.values() for each in names} <= known


STS = "STS, mean of seven sets"


@pytest.mark.parametrize(
    ("name", "series", "measure", "level", "values"),
    [
        ("dropout", "BERT", STS, "sentence", [0.740, 0.743, 0.748, 0.748, 0.731]),
        ("dropout", "RoBERTa", STS, "sentence", [0.755, 0.753, 0.737, 0.694, 0.677]),
        ("mask-length", "BERT", STS, "sentence", [0.741, 0.743, 0.720, 0.690, 0.616]),
        ("mask-length", "RoBERTa", STS, "sentence", [0.750, 0.753, 0.757, 0.743, 0.706]),
        ("ablation", "BERT", STS, "sentence", [0.744, 0.726, 0.717, 0.651]),
        ("ablation", "RoBERTa", STS, "sentence", [0.753, 0.732, 0.717, 0.682]),
        ("ablation", "BERT", "STS-B", "sentence", [0.764, 0.745, 0.749, 0.674]),
        ("ablation", "RoBERTa", "STS-B", "sentence", [0.787, 0.727, 0.756, 0.708]),
        ("controlled-dropout", "RoBERTa", "STS 2012", "sentence", [0.562, 0.648, 0.452]),
        ("random-strings", "BERT", "Multi-SimLex, English", "word", [0.267, 0.393, 0.481, 0.556]),
        ("isotropy", "BERT", "MVN", "word", [13.79, 7.89, 2.11, 0.71]),
        ("isotropy", "BERT", "IS", "sentence", [0.062, 0.222, 0.265, 0.255]),
    ],
)
def test_the_papers_numbers_are_the_papers(
    name: str, series: str, measure: str, level: str, values: list[float]
) -> None:
    assert published(find_study(name), series, measure, level) == values


def test_shipped_variants_have_the_papers_settings() -> None:
    assert [p.tuning for p in find_study("dropout").all_variants] == [
        {"dropout": rate} for rate in (0.05, 0.1, 0.2, 0.3, 0.4)
    ]
    assert [p.x for p in find_study("mask-length").all_variants] == [2, 5, 10, 15, 20]
    ablation = {point.label: point.tuning for point in find_study("ablation").all_variants}
    assert ablation == {
        "both": {},
        "no dropout": {"dropout": 0.0},
        "no masks": {"mask_length": 0},
        "neither": {"dropout": 0.0, "mask_length": 0},
    }
    controlled = find_study("controlled-dropout")
    assert controlled.tuning == {"views": "identity", "mask_length": 0}
    assert controlled.all_variants[2].tuning == {"augmentation": "controlled"}
    random = find_study("random-strings").all_variants
    assert [(p.kind, p.strings, p.tuning) for p in random] == [
        ("raw", "recipe", {}),
        ("tuned", "random", {"learning_rate": 2e-5}),
        ("tuned", "random", {"learning_rate": 5e-5}),
        ("tuned", "recipe", {}),
    ]


def test_several_settings_give_their_product_a_curve_for_each_of_the_others() -> None:
    variants = find_study("rate-and-temperature").all_variants
    assert len(variants) == 18
    assert variants[1].label == "0.03, 2e-05"
    assert (variants[1].x, variants[1].curve) == (0.03, "learning rate 2e-05")
    assert variants[1].tuning == {"temperature": 0.03, "learning_rate": 2e-5}
    assert len({variant.curve for variant in variants}) == 3


@pytest.fixture
def write(tmp_path: Path) -> Path:
    path = tmp_path / "masks.toml"
    path.write_text(WHOLE)
    return path


def test_your_own_study_is_read_by_its_path(write: Path) -> None:
    assert find_study(str(write)).name == "masks"


PAPER = '[[published]]\nseries = "BERT"\nmetric = "STS"\nvalues = '


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mask_length", "mask_lenght", r"variant '2' with tuning.mask_lenght = 2 has 1 fault"),
        ("mask_length", "mask_lenght", r"tuning.mask_lenght: unknown key; remove it or correct"),
        ("[2, 5]", "[2.5]", r"variant '2.5' .*\n  tuning.mask_length: Input should be a valid int"),
        ("[2, 5]", "[-1]", r"greater than or equal to 0; got -1"),
        ('levels = ["sentence"]', 'levels = ["letter"]', r"levels.0: Input should be 'word'"),
        ("[vary.tuning]\nmask_length = [2, 5]", "", r"give either `vary` or `variants`"),
        ('title = "Masks"', "", r"title: missing; add it"),
        ("[2, 5]", f"[2, 5]\n{PAPER}{{ 3 = 0.5 }}", r"BERT has a value for '3', but the variants"),
        (
            "[2, 5]",
            '[2, 5]\n[tuning]\naugmentation = "loud"',
            r"sentence has 1 fault.*\n  tuning.augmentation",
        ),
        ("mask_length = [2, 5]", 'pooling = ["cls"]', r"a curve needs `x` for every variant"),
        ("[2, 5]", "[2, 2]", r"two variants have the label '2'"),
        ("[2, 5]", "[2, 5", r"cannot be read as TOML"),
        ("[2, 5]", "[2, 5]\nseed = [1, 2]", r"`vary.tuning.seed` would have no effect.*--seeds"),
        ("[2, 5]", "[2, 5]\n[tuning]\nseed = 1", r"`tuning.seed` would have no effect.*--seeds"),
    ],
)
def test_invalid_studies_are_refused_with_place_and_remedy(
    write: Path, old: str, new: str, message: str
) -> None:
    assert old in WHOLE
    write.write_text(WHOLE.replace(old, new))
    with pytest.raises(StudyError, match=message) as fault:
        read_study(write)
    assert str(write) in str(fault.value)


def test_all_invalid_variants_are_listed_at_once(write: Path) -> None:
    write.write_text(WHOLE.replace("[2, 5]", "[-1, 5, -2]"))
    with pytest.raises(StudyError) as fault:
        read_study(write)
    assert str(fault.value).count("greater than or equal to 0") == 2


def test_a_study_with_the_name_of_the_papers_tables_is_refused(write: Path) -> None:
    path = write.rename(write.with_name("paper.toml"))
    with pytest.raises(StudyError, match=r"cannot be called 'paper'.*rename the file.*--paper"):
        find_study(str(path))
    with pytest.raises(StudyError, match="cannot be called 'paper'"):
        find_study("paper")


@pytest.mark.parametrize("name", ["none-such", "../mask-length", "Mask"])
def test_an_unknown_study_is_refused(name: str) -> None:
    with pytest.raises(StudyError, match=r"studies there are ablation|is not a study's name"):
        find_study(name)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (WHOLE.replace("[2, 5]", "[]"), "vary.tuning.mask_length: List should have at least 1"),
        (WHOLE.replace("mask_length = [2, 5]", ""), "vary.tuning: Dictionary should have at least"),
        ("seeds = [1, 1]" + WHOLE, "has a seed twice"),
        (
            WHOLE.partition("[vary")[0] + '[[variants]]\nlabel = "a"\nx = 1.0\npooling = "cls"\n',
            "variants.0: `pooling` is for raw variants",
        ),
        (
            WHOLE.partition("[vary")[0]
            + '[[variants]]\nlabel = "a"\nx = 1.0\ntuning = { seed = 1 }\n',
            "`tuning.seed` of the variant 'a' would have no effect",
        ),
    ],
)
def test_settings_without_effect_and_duplicates_are_refused(
    tmp_path: Path, broken: str, fault: str
) -> None:
    (tmp_path / "mine.toml").write_text(broken)
    with pytest.raises(StudyError, match=fault):
        read_study(tmp_path / "mine.toml")


def test_the_samples_seed_may_vary(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(WHOLE + "[vary.sample]\nseed = [1, 2]\n")
    assert len(read_study(path).all_variants) == 4


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            'extra_metrics = { sample-space = ["alignment"] }',
            r"names 'sample-space', but the study's benchmarks are stsb, stsb-dev: add it",
        ),
        (
            'benchmarks = { word = ["sample-space"] }\n'
            'extra_metrics = { sample-space = ["alignment"] }',
            r"names 'sample-space', but the study's benchmarks are",
        ),
        (
            'extra_metrics = { stsb = ["alignment"] }',
            r"stsb has no metric 'alignment' for `extra_metrics`: it has none: remove it",
        ),
        (
            'benchmarks = { sentence = ["sample-space"] }\n'
            'extra_metrics = { sample-space = ["skew"] }',
            r"'skew' for `extra_metrics`: choose from isotropy, table 9, mean vec",
        ),
        (
            'benchmarks = { sentence = ["gone"] }\nextra_metrics = { gone = ["alignment"] }',
            r"`extra_metrics`: no benchmark at .*gone.toml",
        ),
    ],
)
def test_measures_that_are_not_taken_are_refused(tmp_path: Path, head: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{head}\n{WHOLE}")
    with pytest.raises(StudyError, match=message) as fault:
        read_study(path)
    assert str(path) in str(fault.value)


def test_measures_that_are_taken_are_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'benchmarks = { sentence = ["disease-linking", "sample-space"] }\n'
        'extra_metrics = { disease-linking = ["acc@5"], sample-space = ["alignment"] }\n' + WHOLE
    )
    assert read_study(path).extra_metrics["disease-linking"] == ["acc@5"]
