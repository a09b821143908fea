"""Every kind of model, small enough to be made and trained in a test: overrides of `python run.py`."""

_CONV = "model.conv=[{channels: 4, kernel: [11, 5], stride: [4, 2]}, {channels: 4, kernel: [7, 5], stride: [2, 2]}]"

SMALL = {
    "deepspeech2": (_CONV, "model.layers=2", "model.units=24"),
    "gru": ("model=deepspeech2_gru", _CONV, "model.layers=2", "model.units=24"),
    "mingru": ("model=deepspeech2_mingru", _CONV, "model.layers=2", "model.units=24"),
    "minlstm, causal": (
        *("model=deepspeech2_minlstm", _CONV, "model.layers=2", "model.units=24"),
        *("model.bidirectional=false", "model.lookahead=3"),
    ),
    "residual": (
        *("model=deepspeech2_residual", "model.channels=3", "model.blocks=1", "model.layers=2", "model.units=24"),
        "model.rnn=minlstm",
    ),
    "transformer": (
        "model=transformer",
        "model.channels=4",
        "model.units=32",
        "model.heads=2",
        "model.feed_forward=64",
        "model.encoder_layers=2",
        "model.decoder_layers=1",
    ),
    "conformer": (
        "model=conformer",
        "model.channels=4",
        "model.layers=2",
        "model.units=16",
        "model.heads=2",
        "model.feed_forward=32",
        "model.kernel=5",
        "model.prunable=all",
    ),
    "conformer, efficient": (
        *("model=conformer_efficient", "model.channels=4", "model.layers=[1,2]", "model.units=[12,16]"),
        *("model.heads=2", "model.feed_forward=[24,32]", "model.kernel=5"),
    ),
    "transducer": (
        "model=transducer",
        _CONV.replace("model.", "model.encoder."),
        "model.encoder.layers=2",
        "model.encoder.units=24",
        "model.predictor=16",
        "model.joint=20",
    ),
}
