"""Quality of the shipped base model."""

from __future__ import annotations

from pathlib import Path

import torch

from mirror.evaluation.benchmark import read_definition
from tests.unit.test_models import MODEL


def test_it_beats_a_random_model_of_its_shape_by_far(shared: Path) -> None:
    from mirror.encoders.encoder import Encoder
    from mirror.evaluation.evaluate import score_encoder

    benchmark = read_definition("stsb")
    trained = Encoder.load(MODEL, "cls")
    score = score_encoder(trained, benchmark).score
    torch.manual_seed(0)
    trained.model = type(trained.model)(trained.model.config, add_pooling_layer=False).eval()
    assert score > score_encoder(trained, benchmark).score + 0.1
    assert score > 0.6
