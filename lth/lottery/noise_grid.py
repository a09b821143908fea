"""How the dense network and the winning tickets stand up to noise: ``test_noise=grid``.

Finished rounds transcribe dev and test again with noise in them. Nothing is trained, no key of a round changes,
and nothing is chosen by what comes out. What an utterance hears is fixed by ``test_noise.seed`` and its id: every
model hears the same, so that differences are paired. Each (round, noise) is transcribed once, and kept in the
store beside the rounds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, ListConfig
from rich.console import Console

from lth.errors import UserError
from lth.files import SUMS, read_jsonl, write_jsonl
from lth.lottery.round import evaluate
from lth.lottery.setup.setting import ExperimentSetup
from lth.speech.augment.noise import BOUNDS, NoiseInjection
from lth.speech.wer import bootstrap_difference, bootstrap_interval, score
from lth.store.noise_rows import NoiseRow, condition_text
from lth.store.rows import Row, dense, set_names, winning
from lth.store.store import RESULT_VERSION, Store, StoredRound, round_key

Hypotheses = Mapping[str, Mapping[str, tuple[str, str]]]


@dataclass(frozen=True)
class NoiseCondition:
    """A noise to test in; `value` is its level or its decibels, None for no noise."""

    kind: str
    value: float | None
    noise: NoiseInjection

    @property
    def text(self) -> str:
        return condition_text(self.kind, self.value)


def noise_conditions(config: DictConfig, trained_in: NoiseInjection) -> list[NoiseCondition]:
    """Return the noises that the ``test_noise`` group asks for, no noise first; empty without a grid.

    Args:
        trained_in: the noise of training, of which the test must not hear the recordings.

    Raises:
        UserError: a value that is no strength, a folder without noise, or recordings that training has heard.
    """
    options = config.test_noise
    if options.kind == "none":
        return []
    if options.kind != "grid":
        raise UserError(f"test_noise.kind={options.kind} is unknown: it is none or grid")
    levels, snrs = _strengths(options, "levels", "level"), _strengths(options, "snrs", "snr")
    strengths = [("level", value) for value in levels if value > 0] + [("snr", value) for value in snrs]
    clean = NoiseCondition("none", None, NoiseInjection("none", 0, 0, 0))
    if not levels and not snrs:
        raise UserError("test_noise.levels and test_noise.snrs are both null: give one of them, or test_noise=none")
    base = _source(options, trained_in)
    return [clean, *(NoiseCondition(kind, value, base.at(kind, value)) for kind, value in strengths)]


def measure(
    setting: ExperimentSetup,
    store: Store,
    rounds: Mapping[int, StoredRound],
    rows: Sequence[Row],
    grid: Sequence[NoiseCondition],
    console: Console,
) -> list[NoiseRow]:
    """Score every tested round in every noise of the grid, transcribed unless the store has it.

    Args:
        rounds: by their numbers, with their weights.
    """
    found: list[NoiseRow] = []
    numbers = tested_rounds(rows)
    for condition in grid:
        heard: dict[int, tuple[str, Hypotheses]] = {}
        for number in dict.fromkeys(numbers.values()):
            heard[number] = transcripts(setting, store, rounds[number], condition)
        reference = heard[numbers["dense"]][1] if "dense" in numbers else None
        for ticket, number in numbers.items():
            file, hypotheses = heard[number]
            density = rounds[number].metrics["density"]
            named = {"round": number, "ticket": ticket, "density": density, "transcript": file}
            against = None if ticket == "dense" else reference
            found += [_score(named, condition, split, hypotheses[split], against) for split in hypotheses]
        said = " · ".join(
            f"{row.ticket} {row.wer:.1%}" for row in found if row.split == "test" and row.condition == condition.text
        )
        console.print(f"in noise · {condition.text} · test WER {said}", highlight=False, soft_wrap=True)
    return found


def tested_rounds(rows: Sequence[Row]) -> dict[str, int]:
    """Return the rounds that are tested: dense, extreme and best, as far as there are any; dev alone chose them."""
    extreme, best = winning(rows)
    named = {"dense": dense(rows), "extreme": extreme, "best": best}
    return {name: row.round for name, row in named.items() if row is not None}


def transcripts(
    setting: ExperimentSetup, store: Store, stored: StoredRound, condition: NoiseCondition
) -> tuple[str, Hypotheses]:
    """Return the file of a round's transcripts in a noise, and what it holds; transcribed unless the store has it."""
    if condition.kind == "none" and set(setting.noise.apply_to if setting.noise.kind != "none" else ()) <= {"train"}:
        return f"{stored.path.parent.name}/{stored.key}/hypotheses.jsonl", _by_set(stored.hypotheses())
    name = transcript_name(stored, condition)
    if store.transcript(name) is None:
        with store.lock(name):
            if store.transcript(name) is None:
                recogniser = setting.recogniser(stored.weights())
                hypotheses = evaluate(replace(setting, noise=condition.noise), recogniser)
                with store.adding_transcript(name) as new:
                    write_jsonl(new / "hypotheses.jsonl", hypotheses)
    file = f"transcripts/{name}/hypotheses.jsonl"
    return file, _by_set(read_jsonl(store.root / file))


def transcript_name(stored: StoredRound, condition: NoiseCondition) -> str:
    """Return the round's key and a hash of what else transcripts depend on: its weights' checksum and the noise."""
    sums = (stored.path / SUMS).read_text(encoding="utf-8").splitlines()
    weights = next(line.partition(" ")[0] for line in sums if line.endswith("weights.safetensors"))
    inputs = {"version": RESULT_VERSION, "weights": weights, "noise": condition.noise.fingerprint()}
    return f"{stored.key}-{round_key(inputs)[:16]}"


def history(rows: Sequence[NoiseRow]) -> list[dict[str, float | str]]:
    """Return a row a noise: its level or decibels, `best_test_wer` and the like, for the curves of a W&B run."""
    found: dict[str, dict[str, float | str]] = {}
    for row in rows:
        strength = {} if row.value is None else {row.kind: row.value}
        entry = found.setdefault(row.condition, {"noise": row.condition, **strength})
        entry[f"{row.ticket}_{row.split}_wer"] = row.wer
    return list(found.values())


def summary(rows: Sequence[NoiseRow]) -> dict[str, float]:
    """Return the grid by flat names, such as ``best_test_wer_level_0.5``."""
    return {f"{row.ticket}_{row.split}_wer_{row.condition.replace(' ', '_')}": row.wer for row in rows}


def _score(
    named: Mapping[str, Any],
    condition: NoiseCondition,
    split: str,
    hypotheses: Mapping[str, tuple[str, str]],
    against: Hypotheses | None,
) -> NoiseRow:
    references, said = zip(*hypotheses.values(), strict=True)
    result = score(references, said)
    low, high = bootstrap_interval(references, said)
    difference = interval = None
    if against is not None:
        before = [against[split][id][1] for id in hypotheses]
        difference = result.wer - score(references, before).wer
        interval = bootstrap_difference(references, before, said)
    return NoiseRow(
        **named,
        split=split,
        kind=condition.kind,
        value=condition.value,
        wer=result.wer,
        cer=result.cer,
        errors=result.errors,
        words=result.words,
        utterances=result.utterances,
        low=low,
        high=high,
        difference=difference,
        difference_low=interval and interval[0],
        difference_high=interval and interval[1],
    )


def _by_set(rows: Sequence[Mapping[str, str]]) -> dict[str, dict[str, tuple[str, str]]]:
    """Set ("dev", "test", further test sets by name) -> utterance id -> (reference, hypothesis)."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row["set"], {})[row["id"]] = (row["reference"], row["hypothesis"])
    names = {"dev": "dev", **set_names(name for name in found if name != "dev")}
    return {names[name]: texts for name, texts in found.items()}


def _strengths(options: DictConfig, key: str, kind: str) -> list[float]:
    given = options[key]
    if given is None:
        return []
    if not isinstance(given, ListConfig) or not given:
        raise UserError(
            f"test_noise.{key}={given} is no list of strengths: give a list such as [0.1,0.5], or null for none"
        )
    low, high = BOUNDS[kind]
    for value in given:
        if type(value) not in (int, float) or math.isnan(value) or not low <= value <= high:
            raise UserError(f"test_noise.{key} lists numbers from {low:g} to {high:g}, not {value!r}.")
    return list(dict.fromkeys(map(float, given)))


def _source(options: DictConfig, trained_in: NoiseInjection) -> NoiseInjection:
    """The noise to test with, its recordings read."""
    try:
        noise = NoiseInjection("level", 1.0, 0.0, 0.0, options.root, options.seed, ("dev", "test"), options.part)
        sources = noise.sources()
    except UserError as error:
        said = str(error)
        raise UserError(f"test_{said}" if said.startswith("noise.") else said) from None
    heard = trained_in.sources() if trained_in.kind != "none" and "train" in trained_in.apply_to else []
    both = set(sources) & set(heard) if isinstance(sources, list) and isinstance(heard, list) else set()
    if both and options.part != "all":
        raise UserError(
            f"{len(both)} of the {len(sources)} recordings in test_noise.root={options.root} are trained with: "
            "give noise.part=train to hold them out, or test_noise.part=all to test with them nevertheless"
        )
    return noise
