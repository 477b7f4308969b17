"""Averages: the unweighted mean of other benchmarks with one metric."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import model_validator

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, read_definition, read_member, register_kind
from mirror.evaluation.result import BenchmarkResult, CachingEncoder, TextEncoder, macro_average
from mirror.run_data import RunData


@register_kind
class AverageBenchmark(Benchmark):
    """The mean of its `members`; its metric is theirs and must be written in `metric`."""

    TASK = "average"
    METRIC: ClassVar[str] = "spearman"
    """The default of `metric`."""

    @model_validator(mode="after")
    def _check_members_are_named(self) -> Self:
        if not self.members:
            raise ValueError("an average needs `members`, the names of its benchmarks")
        return self

    def check_members(self) -> None:
        """Raise BenchmarkError unless each member has data and this metric."""
        for name in self.members:
            member = read_member(name)
            if member.members or member.NEEDS_RUN:
                raise BenchmarkError(
                    f"{self.name} is an average of {name}, whose task is {member.task!r}: name "
                    "benchmarks with files of their own in `members`"
                )
            if member.metric != self.metric:
                raise BenchmarkError(
                    f"{self.name} is an average of {self.metric}, and the metric of {name} is "
                    f"{member.metric}: name benchmarks of one metric in `members`"
                )

    def extra_metric_names(self) -> tuple[str, ...]:
        """Return the extra metrics that all members have."""
        first, *others = (read_member(name).extra_metric_names() for name in self.members)
        return tuple(name for name in first if all(name in other for other in others))

    def load(self, run: RunData | None) -> dict[str, tuple[Benchmark, Any]]:
        """Return each member with its data, by name."""
        members = {name: read_definition(name) for name in self.members}
        return {name: (member, member.load(run)) for name, member in members.items()}

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return the mean of the members' scores; texts that members share are embedded once."""
        shared = CachingEncoder(encoder)
        results = {
            name: member.score(shared, content, second) for name, (member, content) in data.items()
        }
        return macro_average(self, results)
