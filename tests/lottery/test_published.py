"""Every value of every published setting against a literal, with the file and line of its source.

AL is VITA-Group/Audio-Lottery at 8766016, DS SeanNaren/deepspeech.pytorch at 23c883b, of which its CNN_LSTM is a fork,
and MG LuluW8071/Deep-Speech-2 at 35edc58. What is other on purpose is in docs/published.md.
"""

import pytest
import torch
from omegaconf import OmegaConf

from lth.errors import UserError
from lth.lottery.setup.build import build, make
from lth.lottery.setup.setting import learning_rate
from lth.lottery.strategy import Strategy
from lth.speech.augment.noise import NoiseInjection
from lth.speech.features import Features
from tests.configs import compose

TRAIN, PRUNE = "AL CNN_LSTM/deepspeech_pytorch/configs/train_config.py", "AL CNN_LSTM/experiment/librispeech_prune.yaml"
NOISY = "AL CNN_LSTM/experiment/tedlium_subnetwork_noisy.yaml"
MODEL, WARP = "AL CNN_LSTM/deepspeech_pytorch/model.py", "DS deepspeech_pytorch/loader/spec_augment.py"
CONFORMER = "AL Conformer/configs/EfficientConformerCTCLargeLTH.json"
MINGRU = "MG neuralnet/train.py"
CONV = [
    {"channels": 32, "kernel": [41, 11], "stride": [2, 2]},
    {"channels": 32, "kernel": [21, 11], "stride": [2, 1]},
]

#: Key of a config: what it has to be, and where that is published.
SPECTROGRAM = {
    "features.kind": ("spectrogram", "AL CNN_LSTM/deepspeech_pytorch/loader/data_loader.py, parse_audio: log1p"),
    "features.window": (0.02, f"{TRAIN}:29"),
    "features.hop": (0.01, f"{TRAIN}:30"),
    "features.normalise": (True, "AL CNN_LSTM/deepspeech_pytorch/prune.py, prune_train: normalize=True"),
}
CNN_LSTM_MODEL = {
    "model.name": ("deepspeech2", MODEL),
    "model.conv": (CONV, f"{MODEL}, class DeepSpeech: self.conv"),
    "model.rnn": ("lstm", f"{PRUNE}:9"),
    "model.units": (1024, f"{PRUNE}:10"),
    "model.layers": (5, f"{PRUNE}:11"),
    "model.bidirectional": (True, f"{TRAIN}:9"),
    "model.dropout": (0.0, f"{MODEL}: none"),
}
REFERENCE_TRAINER = {
    "trainer.lr": (3e-4, f"{TRAIN}:69"),
    "trainer.weight_decay": (1e-5, f"{TRAIN}:71"),
    "trainer.gradient_clip": (400, f"{TRAIN}:72"),
    "trainer.betas": ([0.9, 0.999], f"{TRAIN}:83"),
    "trainer.max_epochs": (16, f"{PRUNE}:14"),
    "trainer.batch_size": (32, f"{PRUNE}:4"),
    "trainer.max_duration": (None, f"{PRUNE}:4"),
    "trainer.accumulate": (1, "AL CNN_LSTM/deepspeech_pytorch/prune.py:252-265"),
    "trainer.patience": (None, "AL CNN_LSTM/deepspeech_pytorch/prune.py, prune_train: every epoch is trained"),
    "trainer.lr_schedule": ("annealed", "AL CNN_LSTM/deepspeech_pytorch/prune.py, prune_train: anneal lr"),
    "trainer.anneal": (1.01, f"{PRUNE}:19"),
}
LOSS = {"loss.name": ("ctc_utterance", "AL CNN_LSTM/deepspeech_pytorch/prune.py:252-265: loss / inputs.size(0)")}
REFERENCE_AUGMENT = {
    "augment.spec.time_warp_factor": (5, f"{WARP}:48,94: the 40 of line 68 is never handed on"),
    "augment.spec.features_mask_size": (27, f"{WARP}:68"),
    "augment.spec.frames_mask_size": (70, f"{WARP}:69"),
    "augment.spec.num_feature_masks": (1, f"{WARP}:69"),
    "augment.spec.num_frame_masks": (1, f"{WARP}:69"),
    "augment.spec.max_frames_mask_fraction": (1.0, f"{WARP}, step 3: no share of the utterance bounds it"),
    "augment.spec.p": (1.0, f"{PRUNE}:6"),
    "augment.speed": (None, f"{TRAIN}:36"),
    "augment.tempo": (None, f"{TRAIN}:36"),
    "augment.gain": (None, f"{TRAIN}:36"),
}
LOTTERY = {"rounds": (20, f"{PRUNE}:16"), "strategy.amount": (0.2, f"{PRUNE}:15")}
QUIET = {"noise.kind": ("none", f"{TRAIN}:38")}
CNN_LSTM = SPECTROGRAM | CNN_LSTM_MODEL | REFERENCE_TRAINER | LOSS | REFERENCE_AUGMENT | LOTTERY | QUIET
TEDLIUM_NOISY = CNN_LSTM | {
    "corpus.name": ("tedlium", f"{NOISY}:2"),
    "trainer.batch_size": (32, f"{NOISY}:4"),
    "augment.spec.p": (1.0, f"{NOISY}:6"),
    "noise.kind": ("level", "AL CNN_LSTM/deepspeech_pytorch/loader/data_loader.py, inject_noise_sample"),
    "noise.probability": (1.0, f"{NOISY}:8"),
    "noise.min": (0.0, f"{NOISY}:9"),
    "noise.max": (0.5, f"{NOISY}:10"),
    "noise.apply_to": (["train"], "AL CNN_LSTM/deepspeech_pytorch/prune.py: test_dataset has no augmentation_conf"),
    "model.rnn": ("lstm", f"{NOISY}:13"),
    "model.units": (1024, f"{NOISY}:14"),
    "model.layers": (5, f"{NOISY}:15"),
    "trainer.max_epochs": (16, f"{NOISY}:18"),
    "trainer.anneal": (1.1, f"{TRAIN}:70: {NOISY} has no optim"),
    "rounds": (0, "AL CNN_LSTM/train_subnetwork.py: one training"),
    "transfer": ("ticket", "AL CNN_LSTM/deepspeech_pytorch/prune.py, train_subnetwork: rewind to prune_0's init"),
}
CONFORMER_LARGE = {
    "features.kind": ("logmel", "AL Conformer/models/modules.py, class AudioPreprocessing"),
    "features.bins": (80, f"{CONFORMER}:34"),
    "features.window": (0.025, f"{CONFORMER}:31"),
    "features.hop": (0.01, f"{CONFORMER}:32"),
    "text.size": (256, f"{CONFORMER}:50"),
    "augment.spec.num_feature_masks": (2, f"{CONFORMER}:40"),
    "augment.spec.features_mask_size": (27, f"{CONFORMER}:41"),
    "augment.spec.num_frame_masks": (10, f"{CONFORMER}:42"),
    "augment.spec.max_frames_mask_fraction": (10 * 0.05, f"{CONFORMER}:42-43"),
    "augment.spec.frames_mask_size": (60, f"{CONFORMER}:43: 5 % of a mean utterance"),
    "augment.spec.time_warp_factor": (0, "AL Conformer/models/modules.py, class SpecAugment: none"),
    "augment.spec.p": (1.0, f"{CONFORMER}:39"),
    "trainer.max_epochs": (200, f"{CONFORMER}:55"),
    "trainer.batch_size": (16, f"{CONFORMER}:56"),
    "trainer.accumulate": (16, f"{CONFORMER}:57"),
    "trainer.betas": ([0.9, 0.98], f"{CONFORMER}:61-62"),
    "trainer.weight_decay": (1e-6, f"{CONFORMER}:64"),
    "trainer.lr_schedule": ("transformer", f"{CONFORMER}:66"),
    "trainer.lr": (pytest.approx(2 * 512**-0.5 * 10_000**-0.5, rel=1e-3), f"{CONFORMER}:67-69"),
    "trainer.warmup": (pytest.approx(10_000 / (200 * 281_241 / 256), rel=0.02), f"{CONFORMER}:68, 281,241 utterances"),
    "trainer.gradient_clip": (5.0, "AL Conformer/models/model.py, fit: max_grad_norm=5.0"),
    "trainer.patience": (None, f"{CONFORMER}: none"),
    "loss.name": ("ctc_utterance", "burchim/EfficientConformer models/losses.py, class LossCTC"),
    "model.prunable": ("linear", "AL Conformer/utils/pruning_utils.py"),
    "rounds": (20, f"{CONFORMER}:101"),
    "strategy.amount": (0.2, f"{CONFORMER}:102"),
    "noise.kind": ("none", f"{CONFORMER}: none"),
}
EFFICIENT = {
    "model.layers": ([5, 6, 5], f"{CONFORMER}:8,16: 16 blocks, the 4th and the 10th (from 0) are strided"),
    "model.units": ([256, 384, 512], f"{CONFORMER}:9"),
    "model.feed_forward": ([4 * 256, 4 * 384, 4 * 512], f"{CONFORMER}:9-10"),
    "model.heads": (8, f"{CONFORMER}:11"),
    "model.kernel": (15, f"{CONFORMER}:12"),
    "model.dropout": (0.1, f"{CONFORMER}:13"),
    "model.convolutions": (1, f"{CONFORMER}:24"),
    "model.channels": (256, f"{CONFORMER}:25"),
}
DEEPSPEECH2_MINGRU = {
    "model.name": ("deepspeech2_residual", "MG neuralnet/model.py, class SpeechRecognitionModel"),
    "model.channels": (32, "MG neuralnet/model.py, class SpeechRecognitionModel"),
    "model.blocks": (2, f"{MINGRU}, --resnet_layers"),
    "model.layers": (3, f"{MINGRU}, --nl"),
    "model.units": (512, f"{MINGRU}, --rnn_dim"),
    "model.dropout": (0.1, f"{MINGRU}, h_params"),
    "model.rnn": ("mingru", "MG README.md"),
    "trainer.max_epochs": (50, f"{MINGRU}, --epochs"),
    "trainer.batch_size": (32, f"{MINGRU}, --batch_size"),
    "trainer.gradient_clip": (0.6, f"{MINGRU}, --grad_clip"),
    "trainer.lr": (2e-4, f"{MINGRU}, --learning_rate"),
    "trainer.weight_decay": (0.01, f"{MINGRU}, configure_optimizers: the default of torch.optim.AdamW"),
    "trainer.betas": ([0.9, 0.999], f"{MINGRU}, configure_optimizers: the default of torch.optim.AdamW"),
    "loss.name": ("ctc", f"{MINGRU}, loss_fn: the mean per token of torch.nn.CTCLoss"),
}
MLPERF = {
    "model.layers": (3, "the model listing of mlcommons/inference's DeepSpeech2: 3 BatchRNN"),
    "model.units": (2560, "the same: GRU(672, 2560)"),
    "model.rnn": ("gru", "the same"),
    "model.conv": ([one | {"padding": [0, 0]} for one in CONV], "the same: no padding, 32 * 21 = 672"),
    "trainer.max_epochs": (20, "the same: test-clean 21.1 after 20 epochs"),
    **SPECTROGRAM,
}
PUBLISHED = {
    "trainer=reference": REFERENCE_TRAINER,
    "augment=reference": REFERENCE_AUGMENT,
    "experiment=librispeech_cnn_lstm": CNN_LSTM | {"corpus.name": ("librispeech", f"{PRUNE}:2")},
    "experiment=tedlium_cnn_lstm": CNN_LSTM | {"corpus.name": ("tedlium", "Ding et al. (2022)")},
    "experiment=commonvoice_cnn_lstm": CNN_LSTM | {"corpus.name": ("commonvoice", "Ding et al. (2022)")},
    "experiment=tedlium_noisy": TEDLIUM_NOISY,
    "experiment=librispeech_conformer": CONFORMER_LARGE,
    "experiment=decaying": CONFORMER_LARGE | {"strategy.prune_factor": (0.9, "the course project's README")},
    "experiment=layerwise": CONFORMER_LARGE | {"strategy.ratios": ([1.1, 1, 0.9], "the course project's README")},
    "experiment=librispeech_conformer model=conformer_efficient_paper": CONFORMER_LARGE | EFFICIENT,
    "experiment=librispeech_rnnt": {
        **{name: one for name, one in REFERENCE_TRAINER.items() if name != "trainer.gradient_clip"},
        **LOTTERY,
    },
    "experiment=mlperf_deepspeech2": MLPERF,
    "experiment=deepspeech2_mingru": DEEPSPEECH2_MINGRU,
}


@pytest.mark.parametrize("words", PUBLISHED)
def test_every_value_is_the_published_one(words):
    config = compose(*words.split())
    found = {key: OmegaConf.select(config, key) for key in PUBLISHED[words]}
    found = {key: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for key, v in found.items()}
    wrong = {k: (found[k], value, source) for k, (value, source) in PUBLISHED[words].items() if found[k] != value}
    assert not wrong


@pytest.mark.parametrize("words", [words for words in PUBLISHED if PUBLISHED[words].keys() >= REFERENCE_TRAINER.keys()])
def test_no_option_of_training_is_left_out(words):
    """Every key of trainer and augment that can change a result is among those compared."""
    from lth.lottery.setup.key import NOT_IN_KEY

    config = compose(*words.split())
    assert {f"trainer.{name}" for name in config.trainer} - {f"trainer.{n}" for n in NOT_IN_KEY} - PUBLISHED[
        words
    ].keys() == {"trainer.buckets", "trainer.warmup"}  # batches of like lengths are ours; annealed has no warm-up
    if "augment.spec.p" in PUBLISHED[words]:
        spec = {f"augment.spec.{name}" for name in config.augment.spec}
        assert spec | {"augment.speed", "augment.tempo", "augment.gain"} <= PUBLISHED[words].keys()


@pytest.mark.parametrize(
    "words, factor", [("experiment=librispeech_cnn_lstm", 1.01), ("experiment=tedlium_noisy", 1.1)]
)
def test_the_rate_is_divided_after_every_epoch(words, factor):
    """As AL CNN_LSTM/deepspeech_pytorch/prune.py does: g['lr'] = g['lr'] / cfg.optim.learning_anneal."""
    config = compose(words)
    rate, lr = learning_rate(config.trainer), config.trainer.lr
    for epoch in range(16):
        assert config.trainer.lr * rate((epoch + 0.5) / 16) == pytest.approx(lr)
        lr = lr / factor


@pytest.mark.parametrize("value", ["0.5", "[1]", "nan", "fast", "true"])
def test_an_annealing_that_is_none(value):
    with pytest.raises(UserError, match=r"^trainer\.anneal=.* is not what a rate can be divided by: give a number"):
        learning_rate(compose("trainer=reference", f"trainer.anneal={value}").trainer)


def test_weight_decay_alone_hardly_moves_what_is_ranked():
    """A weight without a gradient, over 16 epochs of 960 hours at batch 32, is what magnitude pruning ranks by."""
    trainer, steps = compose("experiment=librispeech_cnn_lstm").trainer, 281_241 // 32
    rate = learning_rate(trainer)
    left = 1.0
    for epoch in range(16):
        left *= (1 - trainer.lr * rate((epoch + 0.5) / 16) * trainer.weight_decay) ** steps
    assert left > 0.999  # 0.68 with a decay of 1e-2


def test_the_noisy_setting_reaches_every_utterance():
    import numpy as np

    noise, silent = make(NoiseInjection, compose("experiment=tedlium_noisy"), "noise"), np.zeros(1600, np.float32)
    noisy = [noise(silent, split="train", utterance=f"u{n}", epoch=0, seed=0) for n in range(50)]
    assert all(one.any() for one in noisy) and max(float(np.abs(one).max()) for one in noisy) <= 0.5
    assert noise(silent, split="dev", utterance="u", epoch=0, seed=0) is silent


def test_the_published_network_is_pruned_over_all_of_its_layers_together():
    strategy = Strategy.of(compose("experiment=librispeech_cnn_lstm"))
    assert strategy.schedule.amount(1) == strategy.schedule.amount(20) == 0.2
    config = compose("experiment=tedlium_noisy")
    with torch.device("meta"):
        model = build(config, "model", features=make(Features, config, "features").bins, tokens=29)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(86.62, abs=0.01)
