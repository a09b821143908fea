"""Runs: made and changed by `upsertBucket`, filled by the file stream."""

import json
import re
import urllib.parse
import uuid

from tests.loopback_wandb import filters as run_filters
from tests.loopback_wandb import history, nodes, projects
from tests.loopback_wandb.graphql import GraphQLError, Node, connection, paged
from tests.loopback_wandb.state import ENTITY, Key, Run, State, global_id, md5, now

#: argument of upsertBucket -> field of Run
ARGUMENTS = {
    "groupName": "group",
    "jobType": "job_type",
    "displayName": "display_name",
    "notes": "notes",
    "tags": "tags",
    "commit": "commit",
    "host": "host",
    "sweep": "sweep",
    "state": "state",
}


def new(state: State, key: Key, /, **fields) -> Run:
    projects.get_or_create(state, *key[:2])
    state.runs[key] = Run(key=key, number=next(state.numbers), **fields)
    return state.runs[key]


def upsert(state: State, input: Node) -> Node:
    given = {name: value for name, value in input.items() if value is not None}
    run = next((run for run in state.runs.values() if run.id == given.get("id")), None)
    if run is None:
        key = (
            given.get("entityName") or ENTITY,
            given.get("modelName") or "uncategorized",
            given.get("name") or uuid.uuid4().hex[:8],
        )
        run = state.runs.get(key)
    inserted = run is None or run.state == "pending"  # pending: queued by a sweep, now started
    if run is None:
        run = new(state, key)
    elif inserted:
        run.state = "running"
    run.config.update(json.loads(given.get("config", "{}")))
    if "summaryMetrics" in given:
        run.summary = json.loads(given["summaryMetrics"])
    for argument, field in ARGUMENTS.items():
        if argument in given:
            setattr(run, field, given[argument])
    run.heartbeat = now()
    return {"bucket": node(state, run), "inserted": inserted}


def file_stream(state: State, key: Key, body: dict) -> Node:
    """History, summary and console lines, each at an offset; `complete` ends the run."""
    run = state.runs.get(key)
    if run is None:
        raise GraphQLError("run not found", 404)
    run.heartbeat = now()
    for name, chunk in (body.get("files") or {}).items():
        offset, lines = chunk.get("offset", 0), chunk.get("content", [])
        if name == "wandb-history.jsonl":
            run.history.update((offset + i, json.loads(line)) for i, line in enumerate(lines))
        elif name == "wandb-events.jsonl":
            run.events[offset:] = [json.loads(line) for line in lines]
        elif name == "wandb-summary.json" and lines:
            run.summary = json.loads(lines[-1])
        elif name == "output.log":
            run.log[offset:] = lines
    if body.get("complete"):
        run.exit_code = body.get("exitcode", 0)
        run.state = "failed" if run.exit_code else "finished"
    elif body.get("preempting"):
        run.state = "preempting"
    return {"exitcode": run.exit_code, "limits": {}, **({"stopped": True} if run.stop else {})}


def stop(state: State, input: Node) -> Node:
    run = next((run for run in state.runs.values() if run.id == input["id"]), None)
    if run is not None:
        run.stop = True
    return {"success": run is not None, "clientMutationId": None}


def create_files(state: State, input: Node) -> Node:
    key = (input.get("entityName") or ENTITY, input["projectName"], input["runName"])
    files = [{"name": name, "uploadUrl": file_url(state, key, name)} for name in input["files"]]
    return {"runID": global_id("Run", *key), "uploadHeaders": [], "files": files}


def file_url(state: State, key: Key, name: str) -> str:
    return f"{state.url}/files/{'/'.join(key)}/{urllib.parse.quote(name)}"


def find(state: State, entity: str, project: str, filters=None, order: str | None = None) -> list[Run]:
    filters = json.loads(filters) if isinstance(filters, str) else filters
    documents = [document(run) for key, run in state.runs.items() if key[:2] == (entity, project)]
    found = run_filters.ordered([d for d in documents if run_filters.accepts(filters, d)], order)
    return [d["run"] for d in found]


def document(run: Run) -> dict:
    """A run as filters and orders see it."""
    names = {"display_name": run.display_name, "displayName": run.display_name}
    times = {"created_at": run.created, "createdAt": run.created}
    return {
        "run": run,
        "number": run.number,
        "name": run.name,
        "state": run.state,
        "config": run.config,
        "group": run.group,
        "jobType": run.job_type,
        "tags": run.tags,
        "summary_metrics": run.summary,
        "summaryMetrics": run.summary,
        "sweep": run.sweep,
        "sweepName": run.sweep,
        **names,
        **times,
    }


def short_node(state: State, run: Run) -> Node:
    """A run as artifacts refer to it."""
    return {
        "__typename": "Run",
        "id": run.id,
        "name": run.name,
        "displayName": run.display_name or run.name,
        "project": projects.short_node(state, *run.key[:2]),
    }


def node(state: State, run: Run | None) -> Node | None:
    if run is None:
        return None

    def wandb_config(keys=None) -> str:
        hidden = run.config.get("_wandb", {}).get("value") or {}
        return json.dumps({key: value for key, value in hidden.items() if not keys or key in keys})

    def outputs() -> list[Node]:
        made = [a for a in state.artifacts.values() if a.run == run.key and a.state == "COMMITTED"]
        return [nodes.artifact_node(state, artifact) for artifact in made]

    def lines() -> list[Node]:
        return [
            {"number": i, "line": line, "level": "info", "label": "", "timestamp": now()}
            for i, line in enumerate(run.log)
        ]

    return {
        **short_node(state, run),
        **history.fields(run),
        "internalId": str(run.number),
        "projectId": projects.get_or_create(state, *run.key[:2])["number"],
        "user": projects.user_node(),
        "description": run.notes,
        "notes": run.notes,
        "config": json.dumps(run.config),
        "rawconfig": json.dumps(run.config),
        "wandbConfig": wandb_config,
        "summaryMetrics": json.dumps(run.summary),
        "systemMetrics": "{}",
        "sweepName": run.sweep,
        "group": run.group,
        "groupName": run.group,
        "jobType": run.job_type,
        "tags": run.tags,
        "commit": run.commit,
        "host": run.host,
        "state": run.state,
        "running": run.state == "running",
        "failed": run.state in ("failed", "crashed"),
        "exitcode": run.exit_code,
        "shouldStop": run.stop,
        "stopped": run.stop,
        "readOnly": False,
        "createdAt": run.created,
        "heartbeatAt": run.heartbeat,
        "updatedAt": run.heartbeat,
        "files": lambda **arguments: files(state, run, **arguments),
        "fileCount": lambda: files(state, run)["totalCount"],
        "logLineCount": len(run.log),
        "logLines": paged(lines),
        "outputArtifacts": paged(outputs),
        "inputArtifacts": paged(lambda: [nodes.artifact_node(state, state.artifacts[i]) for i in run.used]),
    }


def files(state: State, run: Run, first=None, after=None, names=None, pattern=None, **_) -> Node:
    folder = state.run_files(run.key)
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        if names and name not in names:
            continue
        if pattern and not re.search(pattern.replace("%", ".*"), name):
            continue
        url = file_url(state, run.key, name)
        found.append(
            {
                "id": global_id("File", run.name, name),
                "name": name,
                "url": url,
                "directUrl": url,
                "sizeBytes": path.stat().st_size,
                "mimetype": "application/octet-stream",
                "updatedAt": now(),
                "md5": md5(path.read_bytes()),
            }
        )
    return connection(found, first, after)
