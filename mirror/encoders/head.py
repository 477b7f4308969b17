"""Head of an encoder: linear layers and normalisation after pooling.

They are sentence-transformers' modules `Dense` and `Normalize`.  Tuning does not change them: its
vectors pass through them, so that the vectors that are tuned are those that are used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mirror.encoders.sentence_transformers_format import IDENTITY, HeadLayer, head_paths
from mirror.errors import BaseModelError

WEIGHTS = "model.safetensors"


class Normalize(nn.Module):
    """Vectors of length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the vectors (rows, width), normalised."""
        return nn.functional.normalize(vectors, p=2, dim=-1)


class Dense(nn.Module):
    """A linear layer with an activation: `activation(vectors @ weight.T + bias)`."""

    weight: Tensor
    """(width of its output, width of its input), fp32."""
    bias: Tensor | None
    """(width of its output,), fp32; None if there is none."""
    residual: Tensor | None
    """As `weight`: added to the output is `vectors @ residual.T`; None if there is none."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        activation: str = IDENTITY,
        residual: Tensor | None = None,
        *,
        adds_input: bool = False,
    ) -> None:
        """Make a layer.

        Args:
            weight: as the attribute.
            bias: as the attribute.
            activation: the full name of a class of torch without arguments.
            residual: as the attribute.
            adds_input: whether the input is added to the output, unchanged.
        """
        super().__init__()
        # Buffers: parameters would have gradients and weight decay.
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("residual", residual)
        self.activation_name = activation
        self.activation: nn.Module = getattr(nn, activation.rpartition(".")[2])()
        self.adds_input = adds_input

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the vectors (rows, width of the output) of vectors (rows, width of the input)."""
        output: Tensor = self.activation(nn.functional.linear(vectors, self.weight, self.bias))
        if self.residual is not None:
            return output + nn.functional.linear(vectors, self.residual)
        return output + vectors if self.adds_input else output


def head_layers(head: nn.Sequential) -> tuple[HeadLayer, ...]:
    """Return the description of a head's layers, for `EncoderSettings`."""
    return tuple(
        HeadLayer(
            "Dense",
            layer.activation_name,
            len(layer.weight),
            has_residual=layer.adds_input or layer.residual is not None,
        )
        if isinstance(layer, Dense)
        else HeadLayer("Normalize")
        for layer in head
    )


def append_layer(head: nn.Sequential, layer: Dense) -> nn.Sequential:
    """Return a head with a further layer; normalised vectors are normalised again after it."""
    is_normalised = len(head) > 0 and isinstance(head[-1], Normalize)
    return nn.Sequential(*head, layer, *([Normalize()] if is_normalised else []))


def without_last_layer(head: nn.Sequential) -> nn.Sequential:
    """Return a head without the layer that `append_layer` added last."""
    added = 2 if isinstance(head[-1], Normalize) else 1
    return nn.Sequential(*list(head)[:-added])


def write_head(folder: Path, head: nn.Sequential) -> None:
    """Write the layers as sentence-transformers' modules into an encoder's folder."""
    for layer, path in zip(head, head_paths(head_layers(head)), strict=True):
        (folder / path).mkdir(exist_ok=True)
        if not isinstance(layer, Dense):
            continue
        rows, columns = layer.weight.shape
        config: dict[str, Any] = {
            "in_features": columns,
            "out_features": rows,
            "bias": layer.bias is not None,
            "activation_function": layer.activation_name,
        }
        if layer.adds_input or layer.residual is not None:
            config["use_residual"] = True
        text = json.dumps(config, indent=2) + "\n"
        (folder / path / "config.json").write_text(text, encoding="utf-8")
        tensors = {
            "linear.weight": layer.weight,
            "linear.bias": layer.bias,
            "residual.weight": layer.residual,
        }
        kept = {
            name: value.cpu().contiguous() for name, value in tensors.items() if value is not None
        }
        save_file(kept, folder / path / WEIGHTS)


def read_head(folder: Path, layers: Sequence[HeadLayer], width: int) -> nn.Sequential:
    """Return the head that an encoder's settings describe.

    Args:
        folder: the encoder's.
        layers: from `read_encoder_settings`.
        width: of the pooled vectors.
    """
    head: list[nn.Module] = []
    for layer in layers:
        if layer.kind == "Normalize":
            head.append(Normalize())
            continue
        if not layer.path and layer.width >= width:
            continue
        dense = (
            _read_dense(folder / layer.path, layer)
            if layer.path
            else Dense(torch.eye(layer.width, width), None)
        )
        if dense.weight.shape[1] != width:
            raise BaseModelError(
                f"the layer {folder / layer.path} does not fit vectors of dimension {width}: get "
                "the encoder again"
            )
        width = len(dense.weight)
        head.append(dense)
    return nn.Sequential(*head)


def _read_dense(folder: Path, layer: HeadLayer) -> Dense:
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(folder / WEIGHTS).items()}
        weight, bias = tensors["linear.weight"], tensors.get("linear.bias")
    except (OSError, ValueError, LookupError, SafetensorError) as error:
        raise BaseModelError(
            f"the layer {folder} cannot be read ({error}): get the encoder again"
        ) from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise BaseModelError(
            f"the layer {folder} is not finite everywhere (NaN or infinity): get the encoder again"
        )
    residual = tensors.get("residual.weight")
    adds_input = layer.has_residual and residual is None
    return Dense(weight, bias, layer.activation, residual, adds_input=adds_input)
