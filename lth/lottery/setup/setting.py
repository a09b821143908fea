"""From a config to everything the rounds of one experiment share."""

import functools
import hashlib
import heapq
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import hydra
import torch
from hydra.errors import InstantiationException
from lhotse import CutSet
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lth.decoding.choose import GREEDY, Decoder, check_decoder, key_of, options
from lth.errors import UserError
from lth.speech import bpe
from lth.speech.augment.noise import NoiseInjection
from lth.speech.augment.perturb import Perturbation
from lth.speech.augment.rir import Reverberation
from lth.speech.batches import AudioMemory, Utterances, test_loader, train_loader
from lth.speech.corpora.corpus import (
    Corpus,
    UtteranceInfo,
    drop_too_short,
    exclude,
    unknown_characters,
    utterance_infos,
)
from lth.speech.corpora.speaker import of_speaker
from lth.speech.features import Features
from lth.speech.tokens import Tokens
from lth.store.store import RESULT_VERSION
from lth.tickets.mask import Mask
from lth.training import schedule
from lth.training.recogniser import Recogniser
from lth.training.train import Hardware, hardware

#: Trainer settings that cannot change a round's result, or that enter its key resolved.
NOT_IN_KEY = {"workers", "threads", "log_every", "precision", "accelerator"}
#: Trainer settings that older configs do not have, with the value that goes without saying.
NEWER = {"betas": [[0.9, 0.999]], "warmup": [None]}
#: The loss that configs from before there was a choice do not name.
DEFAULT_LOSS = {"_target_": "lth.training.losses.ctc", "_partial_": True}
#: What a config from before there was a choice of text means.
DEFAULT_TEXT = {"_target_": "lth.speech.tokens.CharacterTokens.of"}
BATCHES_OF_DEV = {"batch_size": 32, "max_duration": None}
TYPES = {bool: "true or false", int: "a whole number"}


def build(config: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """``hydra.utils.instantiate``, with what the built thing says of its arguments as a UserError."""
    try:
        _check_types(config)
        return hydra.utils.instantiate(config, *args, **kwargs)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError | OSError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, ValueError | TypeError):
            raise UserError(f"{config.get('_target_', 'config')}: {error.__cause__}") from error
        raise


def _check_types(config: DictConfig) -> None:
    """UserError where Python would take a value for what it is not: any text for true, 1.5 for a number of layers."""
    target = config.get("_target_") if isinstance(config, DictConfig) else None
    if target is None or not str(target).startswith("lth."):
        return
    for part in config.values():  # such as the encoder of a transducer
        _check_types(part)
    for name, parameter in inspect.signature(hydra.utils.get_object(target)).parameters.items():
        wanted, value = parameter.annotation, config.get(name)
        if wanted in (bool, int) and name in config and type(value) is not wanted:
            raise UserError(f"{target}: {name}={value} will not do: it is {TYPES[wanted]}")


@dataclass(frozen=True)
class Setting:
    """Data, model and hardware of an experiment; the same for each of its rounds."""

    config: DictConfig
    corpus: Corpus
    tokens: Tokens
    features: Features
    noise: NoiseInjection
    memory: AudioMemory
    machine: Hardware
    init: dict[str, Tensor]
    layers: dict[str, list[str]]
    parameters: int
    utterances: int
    perturbation: Perturbation = field(default_factory=Perturbation)
    rooms: Reverberation = field(default_factory=Reverberation)

    @property
    def seed(self) -> int:
        return self.config.seed

    def dense(self) -> Mask:
        """The mask of round 0: every prunable weight kept."""
        return Mask.dense({name: self.init[name] for names in self.layers.values() for name in names})

    def output(self) -> list[str]:
        """The output layer: the model's tensors whose shape depends on the number of tokens."""
        with torch.device("meta"):
            other = build(self.config.model, features=self.features.bins, tokens=len(self.tokens) + 1).state_dict()
        return [name for name, tensor in self.init.items() if other[name].shape != tensor.shape]

    def key_inputs(self, init: str, mask: Mask) -> dict:
        """Everything that can change the result of a round that starts from this init and mask."""
        config = OmegaConf.to_container(self.config, resolve=True)
        loss, rooms = config.get("loss", DEFAULT_LOSS), self.rooms.fingerprint()
        augment = {k: v for k, v in config["augment"].items() if k == "spec" or v is not None}
        return {
            "version": RESULT_VERSION,
            "init": init,
            "mask": mask.digest(),
            "corpus": self.corpus.fingerprint,
            "noise": self.noise.fingerprint(),
            "tokens": self.tokens.key,
            **({"rir": rooms} if rooms else {}),
            **{name: config[name] for name in ("features", "model", "seed")},
            "augment": augment,
            "decoder": key_of(config["decoder"]),
            **({} if loss == DEFAULT_LOSS else {"loss": loss}),
            "trainer": {k: v for k, v in config["trainer"].items() if k not in NOT_IN_KEY and NEWER.get(k) != [v]},
            "accelerator": self.machine.accelerator,
            "precision": self.machine.precision,
        }

    def model(self) -> nn.Module:
        """The model with fresh values from its own initialiser."""
        return build(self.config.model, features=self.features.bins, tokens=len(self.tokens))

    def decoder(self, family: str) -> Decoder:
        """The decoder of ``decoder=``, for this family of models."""
        return build(OmegaConf.create(options(self.config.decoder)), tokens=self.tokens, family=family)

    def greedily(self) -> "Setting":
        """The same, decoded greedily: what a round is trained with whatever transcribes it in the end."""
        config = self.config.copy()
        config.decoder = GREEDY
        return replace(self, config=config)

    def recogniser(self, weights: dict[str, Tensor], rate: float | None = None) -> Recogniser:
        """A recogniser whose model has these weights, ready to train or to transcribe.

        Args:
            rate: a fixed learning rate as a share of ``trainer.lr``, instead of the trainer's schedule.
        """
        model = self.model()
        model.load_state_dict(weights)
        options = self.config.trainer
        return Recogniser(
            model,
            self.features,
            self.decoder(model.family),
            ctc=build(OmegaConf.create(self.config.get("loss", DEFAULT_LOSS))),
            augment=build(self.config.augment.spec) if self.config.augment.spec else None,
            lr=options.lr,
            weight_decay=options.weight_decay,
            betas=betas(options),
            rate=learning_rate(options) if rate is None else functools.partial(schedule.fixed, rate=rate),
            utterances=self.utterances,
            seed=self.seed,
        )

    def train_batches(self, epoch: int) -> DataLoader:
        """Batches of one epoch of the train split."""
        options = self.config.trainer
        return train_loader(
            self.corpus.train,
            self._utterances("train"),
            epoch,
            batch_size=options.batch_size,
            max_duration=options.max_duration and options.max_duration * self.perturbation.slowest,
            buckets=min(options.buckets, self.utterances),
            workers=options.workers,
        )

    def sample_batches(self, utterances: int | None = None) -> DataLoader:
        """Batches of a fixed sample of the train split: so many utterances, or None for as many as dev has.

        Which ones depends on the seed and their ids only; more of them hold the fewer.
        """

        def place(one: UtteranceInfo) -> str:
            return hashlib.sha256(f"{self.seed} {one.id}".encode()).hexdigest()

        train = self.corpus.train
        drawn = heapq.nsmallest(utterances or count(self.corpus.dev), utterance_infos(train), key=place)
        rank = {one.id: number for number, one in enumerate(drawn)}
        rest = frozenset(one.id for one in utterance_infos(train)) - rank.keys()
        some = sorted(exclude(train, rest), key=lambda cut: rank[cut.id])  # batches of equal lengths follow this order
        return test_loader(CutSet.from_cuts(some), self._utterances("train"), **BATCHES_OF_DEV)

    def dev_batches(self) -> DataLoader:
        """Batches of the dev split."""
        return test_loader(self.corpus.dev, self._utterances("dev"), **BATCHES_OF_DEV)

    def test_batches(self) -> dict[str, DataLoader]:
        """Batches of every test set, by its name."""
        return {
            name: test_loader(cuts, self._utterances("test"), **BATCHES_OF_DEV)
            for name, cuts in self.corpus.tests.items()
        }

    def _utterances(self, split: str) -> Utterances:
        effects = (self.perturbation, self.rooms)
        return Utterances(split, self.memory, self.tokens, self.noise, self.seed, effects)


def learning_rate(options: DictConfig) -> Callable[[float], float]:
    """The schedule that ``trainer.lr_schedule`` names."""
    warmup = options.get("warmup")
    if warmup is not None and not (isinstance(warmup, float) and 0 < warmup < 1):
        raise UserError(f"trainer.warmup={warmup} will not do: it is a share of the training, above 0 and below 1")
    match options.lr_schedule:
        case "annealed":
            return functools.partial(schedule.annealed, epochs=options.max_epochs)
        case "transformer":
            return functools.partial(schedule.transformer, warmup=warmup or 0.05)
        case "one_cycle":
            return functools.partial(schedule.one_cycle, warmup=warmup) if warmup else schedule.one_cycle
    return schedule.fixed


def betas(options: DictConfig) -> tuple[float, float]:
    """Of AdamW, as ``trainer.betas`` says."""
    found = options.get("betas", [0.9, 0.999])
    if not OmegaConf.is_list(found) and not isinstance(found, list):
        found = [found]
    if len(found) != 2 or not all(isinstance(one, float) and 0 <= one < 1 for one in found):
        raise UserError(f"trainer.betas={found} will not do: it is two numbers from 0 to below 1, such as [0.9,0.98]")
    return found[0], found[1]


def prepare(config: DictConfig, known: str | None = None) -> Setting:
    """Read the corpus, choose the tokens and draw the init.

    Args:
        known: key of a ticket's tokens, which are taken where they are of the kind that ``text`` says and enough
            for this corpus.

    Raises:
        UserError: anything in the config or the corpus that cannot work, before any training.
    """
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    machine = hardware(config.trainer.accelerator, config.trainer.precision)
    learning_rate(config.trainer), betas(config.trainer)  # they make sense, or nothing is begun
    noise, rooms, perturbation = build_noise(config.noise), build_rooms(config), build_perturbation(config)
    features = build(config.features)
    corpus = build(config.corpus.loader)
    tokens = choose_tokens(config, corpus, known)
    if config.get("speaker") is not None:
        corpus = of_speaker(corpus, config.speaker, config.utterances, config.seed)
    if found := unknown_characters(corpus.splits(), tokens.characters):
        raise UserError(f"{found}, which is not among the output tokens; correct the text or add it to tokens=")
    torch.manual_seed(config.seed)
    model = build(config.model, features=features.bins, tokens=len(tokens))
    check_decoder(config, model.family)
    check_choices(config, tokens, model.family)
    corpus = drop_too_short(
        corpus,
        functools.lru_cache(2**14)(lambda samples: model.out_length(features.frames(samples))),
        lambda text: model.frames_needed(tokens.encode(text).tolist()),
        perturbation.shortest,
    )
    if empty := next((name for name, cuts in corpus.splits().items() if not count(cuts)), None):
        raise UserError(f"corpus={corpus.name}: no utterance of {empty} is long enough for its text and the model")
    return Setting(
        config=config,
        corpus=corpus,
        tokens=tokens,
        features=features,
        noise=noise,
        memory=AudioMemory(config.memory_hours),
        machine=machine,
        init={name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        layers=model.prunable(),
        parameters=sum(p.numel() for p in model.parameters()),
        utterances=count(corpus.train),
        perturbation=perturbation,
        rooms=rooms,
    )


def check_choices(config: DictConfig, tokens: Tokens, family: str) -> None:
    """UserError for a decoder or a loss whose package or files are missing, before anything is trained."""
    build(OmegaConf.create(options(config.decoder)), tokens=tokens, family=family)
    one = torch.ones(1, dtype=torch.long)
    build(OmegaConf.create(config.get("loss", DEFAULT_LOSS)))(torch.zeros(1, 1, 2), one, one[None], one)


def choose_tokens(config: DictConfig, corpus: Corpus, known: str | None) -> Tokens:
    """What ``text`` and ``tokens`` say, or the ticket's; see `prepare`."""
    text = OmegaConf.create(config.get("text") or DEFAULT_TEXT)
    if known and not config.tokens and bpe.is_bpe(known) == ("size" in text):
        theirs = bpe.of_key(known)
        same = text.get("size", len(theirs.symbols)) == len(theirs.symbols)
        if same and not unknown_characters(corpus.splits(), theirs.characters):
            return theirs
    return build(text, _texts(corpus.train), config.tokens)


def build_noise(config: DictConfig) -> NoiseInjection:
    """The noise that the ``noise`` group describes."""
    return _of_group(NoiseInjection, "noise", config)


def _of_group(make: Callable, group: str, options: Mapping) -> Any:
    """What a group of the config describes, its keys being the arguments."""
    try:
        return make(**OmegaConf.to_container(OmegaConf.create(options), resolve=True))
    except TypeError as error:
        raise UserError(f"{group}: {error}") from error


def build_rooms(config: DictConfig) -> Reverberation:
    """The rooms that the ``rir`` group describes, which older configs do not have."""
    return _of_group(Reverberation, "rir", config.get("rir") or {})


def build_perturbation(config: DictConfig) -> Perturbation:
    """Speed, tempo and gain, as the ``augment`` group says beside its ``spec``."""
    return _of_group(Perturbation, "augment", {k: v for k, v in config.augment.items() if k != "spec"})


def count(cuts: CutSet) -> int:
    """How many utterances; a lazy set may have no length, and is read through."""
    return len(cuts) if hasattr(cuts.cuts, "__len__") else sum(1 for _ in utterance_infos(cuts))


def _texts(cuts: CutSet) -> list[str]:
    return [one.text for one in utterance_infos(cuts)]
