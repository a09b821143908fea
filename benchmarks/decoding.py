"""What decoding costs beside the network: ``python -m benchmarks.decoding --ticket ROUND [--lm FILE]``.

The network of a round hears its dev set; greedy and beam search read the same logits. Real-time factors are seconds of
audio a second. Without a language model of your own, a 3-gram of the train transcripts is made.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import hydra
import torch
from omegaconf import OmegaConf

from lth.decoding.ngram import estimate, write_arpa
from lth.inference.trained import load_trained, with_decoder
from lth.lottery.setup import names

CONF = Path(__file__).resolve().parents[1] / "conf"


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticket", required=True, help="a round's folder, such as outputs/demo/rounds/round-00")
    parser.add_argument("--lm", help="an ARPA file")
    parser.add_argument("--width", type=int, default=100)
    options = parser.parse_args()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = names.compose([f"ticket={options.ticket}", "decoder=greedy"], "tune")
        setting, recogniser, _ = load_trained(config, ())
        decoders = {"ctc": "beam", "transducer": "rnnt_beam", "attention": "attention_beam"}
        beam = names.compose([f"decoder={decoders[recogniser.model.family]}"]).decoder
    batches = list(setting.dev_batches())
    seconds = sum(batch["lengths"].sum().item() for batch in batches) / 16_000
    with torch.no_grad(), setting.device.autocast(), tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        heard = [recogniser(batch) for batch in batches]
        forward = time.perf_counter() - started
        lm = options.lm or f"{folder}/lm.arpa"
        if not options.lm:
            write_arpa(estimate([cut.supervisions[0].text for cut in setting.corpus.train], 3), Path(lm))
        kinds = {"greedy": setting.config.decoder, "beam": OmegaConf.merge(beam, {"width": options.width})}
        kinds["beam, lm"] = OmegaConf.merge(kinds["beam"], {"lm": lm})
        found = {}
        for name, decoder in kinds.items():
            decode = with_decoder(setting, decoder).decoder(recogniser.model.family)
            decode(recogniser.model, *(x[:1] for x in heard[0]))  # files read, processes started
            started = time.perf_counter()
            for encoded, lengths in heard:
                decode(recogniser.model, encoded, lengths)
            took = time.perf_counter() - started
            found[name] = {
                "seconds": round(took, 4),
                "times_real_time": round(seconds / took, 1),
                "share_of_forward": round(took / forward, 4),
            }
    about = {"benchmark": "decoding", "audio_seconds": round(seconds, 1), "forward_seconds": round(forward, 3)}
    print(json.dumps({**about, "width": options.width, "threads": torch.get_num_threads(), **found}, indent=1))


if __name__ == "__main__":
    main()
