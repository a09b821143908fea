"""What the server remembers. Everything is in memory, but for the uploaded files."""

import base64
import hashlib
import itertools
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ENTITY = "loopback"

Key = tuple[str, str, str]  # entity, project, name


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def global_id(kind: str, *parts: str) -> str:
    return base64.b64encode(f"{kind}:{'/'.join(parts)}".encode()).decode()


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


@dataclass
class Run:
    key: Key
    number: int
    state: str = "running"
    config: dict = field(default_factory=dict)  # name -> {"value": ...}
    summary: dict = field(default_factory=dict)
    history: dict[int, dict] = field(default_factory=dict)  # line -> row
    events: list[dict] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    display_name: str | None = None
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None
    tags: list[str] = field(default_factory=list)
    commit: str | None = None
    host: str | None = None
    sweep: str | None = None
    exit_code: int | None = None
    stop: bool = False
    used: list[str] = field(default_factory=list)  # ids of artifacts
    created: str = field(default_factory=now)
    heartbeat: str = field(default_factory=now)

    @property
    def name(self) -> str:
        return self.key[2]

    @property
    def id(self) -> str:
        return global_id("Run", *self.key)


@dataclass
class Collection:
    """A named sequence of artifact versions, or a portfolio that links to some."""

    key: Key
    type: str
    kind: str = "ArtifactSequence"
    versions: list[str] = field(default_factory=list)  # artifact ids, oldest first
    aliases: dict[str, list[str]] = field(default_factory=dict)  # artifact id -> aliases
    created: str = field(default_factory=now)

    @property
    def id(self) -> str:
        return global_id("ArtifactCollection", *self.key)

    @property
    def name(self) -> str:
        return self.key[2]

    def set_alias(self, artifact_id: str, alias: str) -> None:
        """An alias names one version: it is taken from whichever had it."""
        for names in self.aliases.values():
            if alias in names:
                names.remove(alias)
        self.aliases.setdefault(artifact_id, []).append(alias)


@dataclass
class Artifact:
    id: str
    home: Key  # the collection it was logged to
    digest: str
    run: Key | None
    client_id: str | None = None
    state: str = "PENDING"
    metadata: dict = field(default_factory=dict)
    description: str | None = None
    ttl: int | None = None
    tags: list[str] = field(default_factory=list)
    step: int | None = None
    wanted_aliases: list[str] = field(default_factory=list)
    numbers: dict[Key, int] = field(default_factory=dict)  # collection -> version number
    manifest: str | None = None
    size: int = 0
    count: int = 0
    created: str = field(default_factory=now)


@dataclass
class Manifest:
    id: str
    file: Path
    type: str | None
    base: str | None  # artifact that an incremental manifest adds to


@dataclass
class Sweep:
    key: Key
    config: str = ""
    state: str = "PENDING"
    description: str | None = None
    display_name: str | None = None
    controller: str = "{}"
    scheduler: str = "{}"
    controller_run: str | None = None
    queue: list[Key] = field(default_factory=list)
    trials: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    created: str = field(default_factory=now)

    @property
    def id(self) -> str:
        return global_id("Sweep", *self.key)

    @property
    def name(self) -> str:
        return self.key[2]


@dataclass
class Agent:
    id: str
    host: str
    sweep: Key
    runs: list[Key] = field(default_factory=list)
    created: str = field(default_factory=now)


@dataclass
class State:
    """The server's memory; `lock` is held while a request reads or writes it."""

    data: Path
    url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    projects: dict[tuple[str, str], dict] = field(default_factory=dict)
    runs: dict[Key, Run] = field(default_factory=dict)
    collections: dict[Key, Collection] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    client_ids: dict[str, str] = field(default_factory=dict)  # the client's own ids -> artifact ids
    sweeps: dict[Key, Sweep] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    views: dict[str, dict] = field(default_factory=dict)
    unknown: Counter = field(default_factory=Counter)  # fields asked for that the double does not have
    operations: Counter = field(default_factory=Counter)

    def new_id(self, kind: str) -> str:
        return global_id(kind, str(next(self.numbers)))

    def blob(self, digest: str) -> Path:
        """Where the file with this base64 MD5 digest lies."""
        return self.data / "blobs" / base64.b64decode(digest).hex()

    def blob_url(self, digest: str) -> str:
        return f"{self.url}/_blob/{base64.b64decode(digest).hex()}"

    def manifest_url(self, manifest: Manifest) -> str:
        return f"{self.url}/_manifest/{manifest.file.name}"

    def run_files(self, key: Key) -> Path:
        return self.data.joinpath("files", *key)
