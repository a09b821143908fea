import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lth.errors import UserError
from lth.speech.corpora import an4, librispeech
from lth.speech.corpora.download import download, extract

CONTENT = bytes(range(256)) * 12_000  # 3 MB


class _Server(ThreadingHTTPServer):
    """Files by path; `break_after` bytes it hangs up, once; `ranges` are the Range headers that came in."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.ranges: list[str] = []
        self.break_after: int | None = None
        self.resumes = True

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.ranges.append(self.headers["Range"])
        content = server.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if server.resumes else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if server.resumes else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut, server.break_after = server.break_after, None
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    server = _Server()
    server.files["corpus.bin"] = CONTENT
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_download_is_checked_and_not_repeated(server, tmp_path):
    for _ in range(2):
        assert download(server.url("corpus.bin"), tmp_path / "sub/c.bin", _sha(CONTENT)).read_bytes() == CONTENT
    assert server.ranges == ["bytes=0-"]
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["c.bin"]


@pytest.mark.parametrize("resumes", [True, False])
def test_a_broken_download_goes_on(server, tmp_path, resumes):
    server.break_after, server.resumes = 2_000_000, resumes
    with pytest.raises(UserError, match=r"corpus\.bin could not be downloaded .* again to resume"):
        download(server.url("corpus.bin"), tmp_path / "c.bin", _sha(CONTENT))
    part = (tmp_path / "c.bin.part").stat().st_size
    assert 0 < part <= 2_000_000
    assert download(server.url("corpus.bin"), tmp_path / "c.bin", _sha(CONTENT)).read_bytes() == CONTENT
    assert server.ranges == ["bytes=0-", f"bytes={part}-"]


def test_a_whole_part_is_taken_as_it_is(server, tmp_path):
    (tmp_path / "c.bin.part").write_bytes(CONTENT)
    assert download(server.url("corpus.bin"), tmp_path / "c.bin", _sha(CONTENT)).read_bytes() == CONTENT


def test_other_content_is_refused(server, tmp_path):
    with pytest.raises(UserError, match=rf"SHA-256 {_sha(CONTENT)}, not {'0' * 64}"):
        download(server.url("corpus.bin"), tmp_path / "c.bin", "0" * 64)
    assert not list(tmp_path.iterdir())


def test_no_server_and_no_file_are_one_sentence(server, tmp_path):
    with pytest.raises(UserError, match=r"none\.bin could not be downloaded \(HTTPError\)"):
        download(server.url("none.bin"), tmp_path / "c.bin")
    with pytest.raises(UserError, match=r"could not be downloaded \(ConnectionError\)"):
        download("http://127.0.0.1:9/c.bin", tmp_path / "c.bin")


def _tar(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def _link(name: str, to: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, to
    return info


def test_an_archive_is_unpacked_beside_what_is_there(tmp_path):
    (tmp_path / "c.tar.gz").write_bytes(_tar({"top/a/x.txt": b"x", "top/b.txt": b"new", "other/z": b"z"}))
    (tmp_path / "to").mkdir()
    (tmp_path / "to/b.txt").write_text("mine")
    extract(tmp_path / "c.tar.gz", tmp_path / "to", "top")
    found = {
        p.relative_to(tmp_path / "to").as_posix(): p.read_text() for p in tmp_path.glob("to/**/*.*") if p.is_file()
    }
    assert found == {"a/x.txt": "x", "b.txt": "mine"}


@pytest.mark.parametrize(
    "members",
    [
        {"top/a": b"a", "../evil": b"x"},
        {"top/a": b"a", "top/l": _link("top/l", "/etc")},
        {"top/a": b"a", "top/l": _link("top/l", "../..")},
        {"top/l": _link("top/l", ".."), "top/l/../../evil": b"x"},
    ],
    ids=["parent", "absolute link", "relative link", "through a link"],
)
def test_an_archive_cannot_leave_its_folder(tmp_path, members):
    (tmp_path / "c.tar.gz").write_bytes(_tar(members))
    with pytest.raises(UserError, match=r"c\.tar\.gz cannot be unpacked"):
        extract(tmp_path / "c.tar.gz", tmp_path / "in/to", "top")
    left = [path for path in tmp_path.rglob("*") if path.name != "c.tar.gz"]
    assert {path.relative_to(tmp_path).as_posix() for path in left} == {"in", "in/to"}


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (_tar({"top/a": CONTENT})[:3000], "cannot be unpacked"),
        (b"<html>not found</html>", "cannot be unpacked"),
        (_tar({"else/a": b"a"}), "has no folder top"),
    ],
    ids=["cut off", "no archive", "another archive"],
)
def test_damaged_archives_leave_nothing_behind(tmp_path, archive, message):
    (tmp_path / "c.tar.gz").write_bytes(archive)
    with pytest.raises(UserError, match=message):
        extract(tmp_path / "c.tar.gz", tmp_path / "to", "top")
    assert not list((tmp_path / "to").iterdir())


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder.parent).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def small_an4(tmp_path, record) -> Path:
    root = tmp_path / "made/an4"
    for split, fileid in (
        ("train", "an4_clstk/fash/an251-fash-b"),
        ("test", "an4test_clstk/fcaw/an406-fcaw-b"),
    ):
        record(root / f"wav/{fileid}.sph", format="NIST")
        (root / "etc").mkdir(exist_ok=True)
        (root / f"etc/an4_{split}.fileids").write_text(fileid + "\n")
        (root / f"etc/an4_{split}.transcription").write_text(f"YES ({fileid.split('/')[-1]})\n")
    return root


def test_an4_is_fetched_and_checked(server, tmp_path, small_an4, monkeypatch):
    server.files["an4.tar.gz"] = _tar(_files(small_an4))
    monkeypatch.setattr(an4, "URL", server.url("an4.tar.gz"))
    with pytest.raises(UserError, match=r"sent another AN4 than expected"):
        an4.fetch(tmp_path / "bad")
    assert [path.name for path in (tmp_path / "bad").iterdir()] == ["an4_sphere.tar.gz"]
    monkeypatch.setattr(an4, "CONTENT", an4.content(small_an4))
    an4.fetch(tmp_path / "good")
    assert an4.content(tmp_path / "good") == an4.CONTENT
    assert sorted(path.name for path in (tmp_path / "good").iterdir()) == ["etc", "wav"]


def test_librispeech_is_fetched_by_subset(server, tmp_path, record, monkeypatch):
    monkeypatch.setattr(librispeech, "URL", server.url("{}.tar.gz"))
    for number, subset in enumerate(("train-clean-100", "dev-clean", "test-clean")):
        chapter = tmp_path / f"made{number}/LibriSpeech/{subset}/{number}/1"
        record(chapter / f"{number}-1-0000.flac")
        (chapter / f"{number}-1.trans.txt").write_text(f"{number}-1-0000 HELLO\n")
        server.files[f"{subset}.tar.gz"] = _tar(_files(tmp_path / f"made{number}/LibriSpeech"))
        monkeypatch.setitem(librispeech.SHA256, subset, _sha(server.files[f"{subset}.tar.gz"]))
    options = {"root": tmp_path / "corpus", "cache": tmp_path / "cache", "download": True}
    for _ in range(2):
        corpus = librispeech.load(
            train_subsets="train-clean-100", dev_subsets="dev-clean", test_subsets="test-clean", **options
        )
    assert [cut.id for cuts in corpus.splits().values() for cut in cuts] == [
        "0-1-0000",
        "1-1-0000",
        "2-1-0000",
    ]
    assert len(server.ranges) == 3
    assert sorted(p.name for p in (tmp_path / "corpus").iterdir()) == [
        "dev-clean",
        "test-clean",
        "train-clean-100",
    ]
