import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from lth.lottery.display import Display, clock


def test_clock():
    assert [clock(s) for s in (0, 59.6, 61, 3_725)] == ["0:00", "1:00", "1:01", "1:02:05"]


def test_a_log_file_gets_one_line_an_epoch(monkeypatch):
    now = iter([0.0, 10.0])
    monkeypatch.setattr("lth.lottery.display.time.perf_counter", lambda: next(now))
    out = io.StringIO()
    display = Display(Console(file=out, width=200), rounds=3)
    metrics = {"dev_wer": torch.tensor(0.123), "loss": torch.tensor(0.5)}
    trainer = SimpleNamespace(current_epoch=0, max_epochs=2, callback_metrics=metrics)
    display.begin(1, 0.8)
    display.on_train_start(trainer, None)
    display.on_validation_end(trainer, None)
    line = out.getvalue().strip()
    # one more epoch of this round and two rounds of two epochs, ten seconds each
    assert line == "round 1/3 · 80.0% of the weights epoch 1/2 · loss 0.500 · dev WER 12.3% · 0:50 left"


@pytest.mark.parametrize(("width", "title"), [(80, "round 1/10 · 80.0% "), (120, "round 1/10 · 80.0% of the weights ")])
def test_the_live_line_fits_the_terminal(width, title):
    display = Display(Console(file=io.StringIO(), width=width, force_terminal=True), rounds=10)
    trainer = SimpleNamespace(current_epoch=9, max_epochs=40, callback_metrics={"dev_wer": torch.tensor(1.0)})
    module = SimpleNamespace(seen=5, utterances=10)
    display.begin(1, 0.8)
    display.on_train_start(trainer, module)
    display.on_validation_end(trainer, module)
    display.on_train_batch_end(trainer, module, {"loss": torch.tensor(1.5)}, None, 0)
    out = io.StringIO()
    Console(file=out, width=width).print(display._bar)
    display.on_exception(trainer, module, KeyboardInterrupt())
    (line,) = out.getvalue().splitlines()
    assert line.startswith(title) and "━" in line and "…" not in line
    assert " epoch 10/40 · loss 1.500 · dev WER 100.0% · 0:0" in line and line.rstrip().endswith(" left")
