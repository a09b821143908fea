"""The HTTP side: GraphQL, the file stream, files up and down, and misbehaviour on request."""

import gzip
import json
import re
import socket
import threading
import time
import traceback
import urllib.parse
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.loopback_wandb import runs, schema
from tests.loopback_wandb.graphql import GraphQLError, Query
from tests.loopback_wandb.state import State

#: Any key will do, but the client wants 40 characters.
API_KEY = "0" * 40

#: What to do with a request instead of answering it: an HTTP status, "hang" or "drop" (the connection).
Fault = int | str


class Server:
    """The double on a loopback port, serving in a thread from `start` to `stop`."""

    def __init__(self, data: Path, port: int = 0) -> None:
        self.state = State(data)
        self.fault: Callable[[str], Fault | None] = lambda path: None
        self.stopping = threading.Event()
        handler = type("Handler", (Handler,), {"server_double": self})
        self.http = QuietServer(("127.0.0.1", port), handler)
        self.url = self.state.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def start(self) -> "Server":
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse connections from now on."""
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()

    def misbehave(self, fault: Fault | None, where: str = "") -> None:
        """Commit this fault on requests whose path contains `where`; None: behave again."""
        self.fault = lambda path: fault if where in path else None


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address) -> None:
        pass  # a client that went away


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body are two writes: 40 ms a request otherwise
    server_double: Server

    def log_message(self, *_) -> None:
        pass

    def handle_request(self) -> None:
        state, content = self.server_double.state, self.body()
        fault = self.server_double.fault(self.path)
        if fault is not None:
            return self.misbehave(fault)
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        parts = path.strip("/").split("/")
        try:
            if parts == ["graphql"]:
                self.graphql(json.loads(content))
            elif self.command == "POST" and parts[-1] == "file_stream":
                with state.lock:
                    self.answer(200, runs.file_stream(state, tuple(parts[1:4]), json.loads(content)))
            elif parts[:2] == ["sdk", "otel"]:  # the client's own telemetry
                self.answer(200, b"")
            elif parts == ["_debug"]:
                self.answer(200, {"unknown": state.unknown, "operations": state.operations})
            elif (file := stored_file(state, parts)) is not None:
                self.transfer(file, content)
            else:
                state.unknown[f"{self.command} {self.path}"] += 1
                self.answer(404, {"error": f"unhandled {self.command} {self.path}"})
        except GraphQLError as error:
            self.answer(error.status, {"errors": [{"message": str(error)}]})
        except Exception as error:
            traceback.print_exc()
            state.unknown[f"{type(error).__name__} in {self.command} {self.path}: {error}"] += 1
            self.answer(500, {"errors": [{"message": f"{type(error).__name__}: {error}"}]})

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request  # noqa: N815

    def graphql(self, request: dict) -> None:
        state = self.server_double.state
        with state.lock:
            query = Query(request["query"], request.get("variables"), request.get("operationName"), state.unknown)
            state.operations[query.name] += 1
            answer = {"data": query.run(schema.queries(state), schema.mutations(state))}
        self.answer(200, answer)

    def transfer(self, file: Path, content: bytes) -> None:
        if self.command == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
            unfinished.write_bytes(content)
            unfinished.replace(file)
            self.answer(200, b"")
        elif file.is_file():
            self.answer(200, file.read_bytes())
        else:
            self.answer(404, {"error": "no such file"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            content = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def answer(self, status: int, content: bytes | dict) -> None:
        raw = isinstance(content, bytes)
        encoded = content if raw else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if raw else "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(encoded)

    def misbehave(self, fault: Fault) -> None:
        if isinstance(fault, int):
            return self.answer(fault, {"errors": [{"message": "told to misbehave"}]})
        double = self.server_double
        while fault == "hang" and double.fault(self.path) == "hang" and not double.stopping.is_set():
            time.sleep(0.05)
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def stored_file(state: State, parts: list[str]) -> Path | None:
    """The file an address stands for, never outside the data folder."""
    match parts:
        case ["_blob", name]:
            file = state.data / "blobs" / name
        case ["_manifest", name]:
            file = state.data / "manifests" / name
        case ["artifactsV2", *rest] if digests := [p for p in rest if re.fullmatch(r"[0-9a-f]{32}", p)]:
            file = state.data / "blobs" / digests[-1]
        case ["artifacts", *_, name]:
            file = state.data / "blobs" / name
        case ["files", _, _, _, _, *_]:
            file = state.data.joinpath(*parts)
        case _:
            return None
    return file if file.resolve().is_relative_to(state.data.resolve()) else None
