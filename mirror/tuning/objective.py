"""The loss that a recipe asks for, on vectors that a training head may have projected first."""

from __future__ import annotations

from torch import Tensor, nn

from mirror.tuning.distillation import Taught, ranking_distance
from mirror.tuning.losses import decoupled_info_nce, info_nce, multi_similarity
from mirror.tuning_config import TuningSection


class Objective(nn.Module):
    """A head, used in training alone, and a contrastive loss.

    The head's weights come from torch's generator, so its seed decides them.
    """

    def __init__(self, settings: TuningSection, width: int) -> None:
        super().__init__()
        self.settings = settings
        match settings.projection_head:
            case "linear":
                self.head: nn.Module = nn.Linear(width, width)
            case "mlp":  # as SimCSE's (Gao et al. 2021), which throws it away too
                self.head = nn.Sequential(nn.Linear(width, width), nn.Tanh())
            case "none":
                self.head = nn.Identity()

    def forward(
        self, first: Tensor, second: Tensor, names: Tensor | None, taught: Taught | None = None
    ) -> Tensor:
        """The loss of a batch.

        Args:
            first: (N, width), pooled vectors of one side.
            second: (N, width), of the other side, in the same order.
            names: (N,), equal for strings that are not each other's negatives; nothing where all
                are.
            taught: what a teacher makes of the same texts, towards whose lists the vectors are
                drawn: those that are saved, before any head.

        Returns:
            A scalar, fp32.
        """
        loss = self._contrast(first, second, names)
        if taught is None:
            return loss
        settings = self.settings
        apart = ranking_distance(first, second, taught, settings.temperature, names)
        return loss + settings.ranking_distillation * apart

    def _contrast(self, first: Tensor, second: Tensor, names: Tensor | None) -> Tensor:
        sides = self.head(first), self.head(second)
        match self.settings.loss:
            case "info-nce":
                return info_nce(*sides, self.settings.temperature, names)
            case "decoupled":
                return decoupled_info_nce(*sides, self.settings.temperature, names)
            case "multi-similarity":
                return multi_similarity(*sides, names)
