"""What every section of an analysis is made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lth.analysis.compare import Group, groups_of
from lth.analysis.experiments import Experiment
from lth.analysis.measure.specimens import Masks

if TYPE_CHECKING:
    import optuna

#: Resamples of the utterances, for intervals and p-values.
RESAMPLES = 10_000


@dataclass(frozen=True)
class Analysis:
    """The experiments that are looked at, and how: the one argument of every section.

    A section is a function `section(analysis) -> Section | None` in a file of `lth/analysis/sections/`, listed in
    `conf/analyze.yaml`; it returns None where its question does not arise.
    """

    experiments: Sequence[Experiment]
    remarks: Sequence[str] = ()  # sentences about what could not be read
    cache: Path | None = None  # the folder that keeps what takes long; None keeps nothing
    resamples: int = RESAMPLES
    stability: bool = False  # whether barriers that are not in the cache are measured
    study: "optuna.Study | None" = None
    masks: Masks = field(default_factory=dict)  # those that were read, by the key of the round

    @cached_property
    def groups(self) -> list[Group]:
        """Return the experiments that may be compared with each other, the largest group first."""
        return self._compared[0]

    @property
    def apart(self) -> list[str]:
        """Sentences that say which experiments are not compared, and why."""
        return self._compared[1]

    @property
    def only(self) -> Experiment | None:
        """Return the experiment, where there is just one."""
        return self.experiments[0] if len(self.experiments) == 1 else None

    @cached_property
    def _compared(self) -> tuple[list[Group], list[str]]:
        return groups_of(self.experiments, self.resamples)
