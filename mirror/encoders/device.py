"""What computes."""

from __future__ import annotations

import torch


def device_name() -> str:
    """A name that all processes of a machine have for the device that tuning uses.

    `cpu`, or the GPU's UUID, which does not depend on what CUDA_VISIBLE_DEVICES hides.
    """
    if not torch.cuda.is_available():
        return "cpu"
    uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
    return f"gpu-{uuid}"
