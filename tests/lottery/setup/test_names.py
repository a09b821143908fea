"""Names are data: keys and identities stay what they are whatever happens to the code's layout."""

import json
import shutil
import sys
from pathlib import Path

import hydra
import pytest
import yaml
from omegaconf import OmegaConf
from rich.console import Console

from lth import files
from lth.errors import UserError
from lth.inference.trained import load_trained
from lth.lottery.setup import names
from lth.lottery.setup.build import build, typed
from lth.lottery.setup.key import identity, settings
from lth.store.rows import read_csv
from lth.store.store import round_key
from tests.configs import PROJECT, compose
from tests.lotteries import command, run

GOLDEN = Path(__file__).with_name("golden_keys.json")
#: Command line -> what its config brings into keys, whatever the data. To be changed by hand, with RESULT_VERSION.
CONFIGS = json.loads(GOLDEN.read_text())
CONSOLE = Console(quiet=True)


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of conf/ to change, in the place of the project's own."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    monkeypatch.setattr(files, "CONF", tmp_path / "conf")
    names.strategy_axes.cache_clear()
    yield tmp_path / "conf"
    names.strategy_axes.cache_clear()


def keys_of(words: str) -> dict[str, str]:
    config = compose(*words.split())
    inputs = {**settings(config), "init": "init", "mask": "mask", "corpus": "corpus"}
    return {"key": round_key(inputs), "identity": identity(config, inputs, {})}


def test_there_are_enough_of_them_and_they_are_all_different():
    assert len(CONFIGS) >= 20
    assert len({one["identity"] for one in CONFIGS.values()}) == len(CONFIGS)


@pytest.mark.parametrize("words", CONFIGS)
def test_golden_keys(words):
    assert keys_of(words) == CONFIGS[words]


def test_no_dotted_path_of_code_is_in_a_config():
    for words in ("", "model=transducer decoder=rnnt_beam", "strategy=gradual", "augment=reference text=bpe"):
        text = OmegaConf.to_yaml(compose(*words.split()), resolve=False)
        assert "_target_" not in text and "lth." not in text, words


def test_a_preset_and_the_options_it_stands_for_are_one_round():
    preset = compose("model=deepspeech2_gru")
    by_hand = compose("model=deepspeech2", "model.rnn=gru", "model.units=224")
    assert settings(preset) == settings(by_hand)
    assert (preset.choices.model, by_hand.choices.model) == ("deepspeech2_gru", "deepspeech2")


def test_every_choice_that_is_code_is_declared_once_and_found():
    for key, group in names.GROUPS.items():
        for name in names.names(key):
            assert callable(names.code(key, {"name": name})), f"{group}/{name}"
    declared = [
        file
        for file in (PROJECT / "conf").rglob("*.yaml")
        if "_target_" in file.read_text() and "defaults" not in file.stem
    ]
    known = {PROJECT / "conf" / group / f"{name}.yaml" for k, group in names.GROUPS.items() for name in names.names(k)}
    others = {PROJECT / "conf/analyze.yaml"}  # lists its sections, which are in no key
    assert set(declared) - others == known


def test_two_names_for_one_piece_of_code_are_refused(conf):
    shutil.copy(conf / "model/conformer.yaml", conf / "model/conformist.yaml")
    with pytest.raises(ValueError, match=r"conformist\.yaml.*is named by another file"):
        names.names("model")


def test_a_class_moves_and_nothing_is_trained_again_and_old_configs_open(tmp_path, conf, cache, monkeypatch):
    """The class lies elsewhere, under another name; its YAML says so, and nobody else has to know."""
    words = command("rounds=0", outputs=tmp_path, cache=cache)
    run(compose(*words, "name=before"), CONSOLE)
    (tmp_path / "elsewhere.py").write_text(
        "from lth.models.deepspeech2 import DeepSpeech2\nclass Net(DeepSpeech2): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file = conf / "model/deepspeech2.yaml"
    file.write_text(file.read_text().replace("lth.models.deepspeech2.DeepSpeech2", "elsewhere.Net"))
    names._declared.cache_clear()
    try:
        rows = run(compose(*words, "name=after"), CONSOLE)
        assert [row.reused for row in rows] == [True]
        assert rows[0].key == read_csv(tmp_path / "before/rounds.csv")[0].key
        setting, recogniser, _ = load_trained(names.compose([f"ticket={tmp_path}/before/rounds/round-00"], "tune"), ())
        assert type(recogniser.model).__name__ == "Net" and setting.config.model.name == "deepspeech2"
    finally:
        names._declared.cache_clear()
        sys.modules.pop("elsewhere", None)


def test_a_recorded_config_says_the_words_that_were_typed(tmp_path, cache):
    words = ("model=deepspeech2_mingru", "strategy=wanda", "rounds=0", "strategy/rewind=lr")
    run(compose(*command(*words, outputs=tmp_path, cache=cache)), CONSOLE)
    recorded = yaml.safe_load((tmp_path / "demo/config.yaml").read_text())
    assert recorded["choices"]["model"] == "deepspeech2_mingru" and recorded["choices"]["strategy"] == "wanda"
    assert recorded["choices"]["strategy/rewind"] == "lr" and recorded["model"]["name"] == "deepspeech2"
    assert not any("hydra" in group for group in recorded["choices"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["strategy.amount=2"], r"strategy\.amount=2: amount "),
        (["strategy=decaying", "strategy.prune_factor=-1"], r"strategy\.prune_factor=-1: prune_factor "),
        (["strategy=layerwise", "strategy.ratios=[]"], r"strategy\.ratios=\[\]: ratios "),
        (["strategy/rewind=epoch", "strategy.rewind.epoch=0"], r"strategy\.rewind\.epoch=0: epoch "),
        (["strategy=listed", "strategy.densities=[2]"], r"strategy\.densities=\[2\]: densities "),
    ],
)
def test_what_makes_no_sense_is_said_of_the_key_that_was_typed(words, said):
    config = compose(*words)
    with pytest.raises(UserError, match=said):
        for axis in ("schedule", "allocation", "rewind"):
            build(config, f"strategy.{axis}")


def test_models_too_name_the_key():
    with pytest.raises(UserError, match=r"^model\.units=144 "):
        build(compose("model=conformer", "model.heads=5"), "model", features=80, tokens=29)
    with pytest.raises(UserError, match=r"^model\.rnn=.*rnn"):
        build(compose("model.rnn=abacus"), "model", features=80, tokens=29)
    with pytest.raises(UserError, match=r"^model\.encoder\.layers=1\.5 is not a whole number"):
        build(compose("model=transducer", "model.encoder.layers=1.5"), "model", features=80, tokens=29)


def test_a_key_that_follows_another_is_named_by_the_other():
    config = compose("strategy=decaying_layerwise")
    assert typed(config, "strategy.schedule", "amount") == "strategy.amount"
    assert typed(config, "strategy.allocation", "ratios") == "strategy.ratios"
    assert typed(config, "model", "layers") == "model.layers"


def test_an_unknown_name_lists_the_choices():
    config = compose()
    config.model.name = "perceptron"
    with pytest.raises(UserError, match=r"model\.name=perceptron is unknown: choose one of conformer, deepspeech2"):
        build(config, "model", features=80, tokens=29)


def test_code_of_ones_own_goes_by_its_path():
    config = compose("model._target_=torch.nn.Identity")
    assert build(config, "model").__class__.__name__ == "Identity"


def test_the_axes_of_a_strategy_are_those_that_hydra_composes():
    for file in sorted((PROJECT / "conf/strategy").glob("*.yaml")):
        with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            composed = hydra.compose("config", [f"strategy={file.stem}"], return_hydra_config=True)
        choices = composed.hydra.runtime.choices
        there = {
            group.removeprefix("strategy/"): choice
            for group, choice in choices.items()
            if group.startswith("strategy/")
        }
        assert names.strategy_axes(file.stem) == there
