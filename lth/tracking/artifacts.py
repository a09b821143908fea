"""Which artifacts the W&B run of a round logs; whoever adds one adds it here.

The files lie in the store, which never changes them, so W&B uploads them from there.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lth.files import SUMS
from lth.store.store import ORIGINAL_SUMS, StoredRound
from lth.tracking.record import ArtifactRecord, RoundRecord

#: The W&B type of each kind of artifact that a round may log; the kind is the end of the artifact's name.
TYPES = {"init": "init", "mask": "mask", "rewind": "rewind", "weights": "model", "round": "round"}
#: The files of a `round` artifact: what the store knows of a round beside its mask and weights.
ROUND_FILES = ("metrics.json", "hypotheses.jsonl", "history.jsonl", "SHA256SUMS")
#: Metrics that say which round a mask is. They lie in its artifact: W&B makes equal contents one version.
LABEL = ("key", "seed", "density", "density_total", "kept", "prunable", "parameters")


@dataclass(frozen=True)
class Artifact:
    """Say what a run logs as one artifact, named ``<experiment>-<kind>``.

    Args:
        kind: the end of its name.
        files: what it holds, under their own names.
        aliases: further names of this version; the run's id always is one.
        metadata: shown and searched on W&B, beside the experiment's name.
        label: content of its `round.json`; without one it has no such file.
        copied: its files will change, so they are copied beside the run's record.
    """

    kind: str
    files: Sequence[Path]
    aliases: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    label: Mapping[str, Any] = field(default_factory=dict)
    copied: bool = False

    @property
    def type(self) -> str:
        """Return its W&B type."""
        return TYPES.get(self.kind, self.kind)


def round_artifacts(
    record: RoundRecord,
    stored: StoredRound,
    *,
    init: Path,
    rewind: Path | None,
    about: Mapping[str, Any],
    weights: bool,
) -> list[Artifact]:
    """Return the artifacts of a finished round: its mask, what made it, and what another machine needs to go on.

    Args:
        record: of the round's run.
        init: file of the init, which round 0 logs.
        rewind: file of the early weights that late rewinding returns to, which round 1 logs; None without it.
        about: what another machine needs to resume the experiment.
        weights: whether the trained weights are an artifact too.
    """
    metrics, folder = stored.metrics, stored.path
    plain = {name: metrics[name] for name in LABEL if name in metrics}
    plain |= {"round": record.round, "run": record.run_id}
    scores = {name: value for name, value in summary(metrics).items() if name.endswith(("_wer", "_cer"))}

    def of_round(kind: str, files: Sequence[Path], label: Mapping[str, Any] = plain) -> Artifact:
        return Artifact(kind, files, [f"round-{record.round:02d}"], {**plain, **scores}, label)

    artifacts = []
    if record.round == 0:
        artifacts.append(Artifact("init", [init]))
    artifacts.append(of_round("mask", [folder / "mask.lth"]))
    if record.round == 1 and rewind is not None:
        artifacts.append(of_round("rewind", [rewind]))
    if weights:
        artifacts.append(of_round("weights", [folder / "weights.safetensors"]))
    whole = {**plain, "uses": record.uses, "experiment": dict(about)}
    artifacts.append(of_round("round", [stored.sums if name == SUMS else folder / name for name in ROUND_FILES], whole))
    return artifacts


def summary(metrics: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Return the metrics that go into a run's summary; those of test sets as `<set>_wer` and `<set>_cer`."""
    flat = {name: value for name, value in metrics.items() if isinstance(value, int | float | str)}
    for name, scores in metrics.get("tests", {}).items():
        flat |= {f"{name}_{metric}": scores[metric] for metric in ("wer", "cer") if metric in scores}
    return flat


def artifact_record(artifact: Artifact, record: RoundRecord, experiment: str, folder: Path) -> ArtifactRecord:
    """Return an artifact as the record of its run lists it, its files relative to the experiment's folder."""
    return ArtifactRecord(
        name=artifact_name(experiment, artifact.kind),
        type=artifact.type,
        aliases=[record.run_id, *artifact.aliases],
        metadata={"experiment": experiment, **artifact.metadata},
        files={_name(file): os.path.relpath(file.resolve(), folder.resolve()) for file in artifact.files},
        label=dict(artifact.label),
    )


def _name(file: Path) -> str:
    """A file's name in its artifact: the record of a round keeps the checksums of the round under another one."""
    return SUMS if file.name == ORIGINAL_SUMS else file.name


def artifact_name(experiment: str, kind: str) -> str:
    """Return the name of an experiment's artifacts of a kind, such as "demo-mask"."""
    return re.sub(r"[^\w.-]", "-", f"{experiment}-{kind}", flags=re.ASCII)
