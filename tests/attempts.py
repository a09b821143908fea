"""Commands given within this process: quicker than a process each, where none has to die."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lth.commands.command import complain, job
from lth.commands.run import Results, experiment
from tests.configs import compose
from tests.lotteries import command


def attempt(*overrides: str, outputs: Path, cache: Path) -> int:
    """The exit code of ``python run.py OVERRIDES``; its output goes where pytest's ``capsys`` hears it."""
    words = command(outputs=outputs, cache=cache)
    if any(word.startswith("corpus=") for word in overrides):
        words = [word for word in words if not word.startswith("corpus.")]
    program = "python run.py"
    try:
        return job(lambda config: experiment(config, Results()), compose(*words, *overrides), program)
    except (Exception, KeyboardInterrupt) as error:
        return complain(error, program, "config", overrides)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below, or what a link points to; locks are empty and come and go."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else sha256(data(path)).hexdigest()
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and path.name != ".lock" and path.parent.name != "locks"
    }


def data(path: Path) -> bytes:
    return path.read_bytes()


def raising(error: BaseException, call: int, original):
    """``original``, which raises ``error`` instead at its ``call``-th call."""
    calls = [0]

    def replacement(*args, **kwargs):
        calls[0] += 1
        if calls[0] == call:
            raise error
        return original(*args, **kwargs)

    return replacement


def write_corpus(folder: Path, *, texts: str = "YES NO", test_texts: str = "NO YES", ending: str = "wav") -> list[str]:
    """A manifest corpus of twelve utterances of noise, and the words of the command that choose it."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count, text in (("train", 12, texts), ("dev", 4, texts), ("test", 4, test_texts)):
        lines = ["audio\ttext"]
        for n in range(count):
            samples = random.integers(-3000, 3000, 16_000 + 800 * n).astype(np.int16)
            soundfile.write(folder / f"{name}{n}.{ending}", samples, 16_000)
            lines.append(f"{name}{n}.{ending}\t{text}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return ["corpus=manifest", *(f"corpus.{name}={folder}/{name}.tsv" for name in ("train", "dev", "test"))]


def the_line(capsys: pytest.CaptureFixture) -> str:
    """The one line that stderr holds."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]
