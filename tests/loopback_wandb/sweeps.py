"""Sweeps, and the agents that ask for the next run."""

import json
import uuid

import yaml

from tests.loopback_wandb import projects, runs, search
from tests.loopback_wandb.graphql import GraphQLError, Node, paged
from tests.loopback_wandb.state import ENTITY, Agent, Run, State, Sweep, now

ENDED = ("FINISHED", "CANCELED")


def config_of(sweep: Sweep) -> dict:
    return yaml.safe_load(sweep.config) or {}


def runs_of(state: State, sweep: Sweep) -> list[Run]:
    members = [r for key, r in state.runs.items() if key[:2] == sweep.key[:2] and r.sweep == sweep.name]
    return sorted(members, key=lambda run: run.number)


def upsert(state: State, input: Node) -> Node:
    given = {name: value for name, value in input.items() if value is not None}
    sweep = next((s for s in state.sweeps.values() if s.id == given.get("id")), None)
    if sweep is None:
        entity, project = given.get("entityName") or ENTITY, given.get("projectName") or "uncategorized"
        projects.get_or_create(state, entity, project)
        key = (entity, project, uuid.uuid4().hex[:8])
        sweep = state.sweeps[key] = Sweep(key=key)
    for argument in ("config", "state", "controller", "scheduler", "description"):
        if argument in given:
            setattr(sweep, argument, given[argument])
    sweep.display_name = given.get("displayName", sweep.display_name)
    if config_of(sweep).get("scheduler") and sweep.controller_run is None:
        sweep.controller_run = f"{sweep.name}-scheduler"
    if "controller" in given:
        obey_controller(state, sweep)
    return {"sweep": node(state, sweep), "configValidationWarnings": []}


def obey_controller(state: State, sweep: Sweep) -> None:
    """`wandb controller`: the client writes `controller.schedule`, the server `scheduler.scheduled`."""
    controller = json.loads(sweep.controller or "{}")
    scheduler = json.loads(sweep.scheduler or "{}") or {}
    scheduled = {item["id"]: item for item in scheduler.get("scheduled", [])}
    for item in controller.get("schedule", []):
        if item["id"] not in scheduled:
            run = queue(state, sweep, item["data"]["args"])
            scheduled[item["id"]] = {"id": item["id"], "runid": run.name}
    for name in controller.get("earlystop", []):
        state.runs[(*sweep.key[:2], name)].stop = True
    sweep.scheduler = json.dumps({"scheduled": list(scheduled.values())})


def queue(state: State, sweep: Sweep, config: dict, display_name: str | None = None) -> Run:
    key = (*sweep.key[:2], uuid.uuid4().hex[:8])
    run = runs.new(state, key, state="pending", sweep=sweep.name, config=config, display_name=display_name)
    sweep.queue.append(key)
    return run


def enqueue(state: State, input: Node) -> Node:
    """An external scheduler (Optuna) decides the next run."""
    sweep = next(s for s in state.sweeps.values() if s.id == input["id"])
    config = {
        name: value if isinstance(value, dict) and "value" in value else {"value": value}
        for name, value in json.loads(input["config"]).items()
    }
    run = queue(state, sweep, config, input.get("displayName"))
    return {"id": run.name, "runQueueItemId": None}


def create_agent(state: State, input: Node) -> Node:
    key = (input.get("entityName") or ENTITY, input.get("projectName"), input["sweep"])
    sweep = state.sweeps.get(key)
    if sweep is None:
        raise GraphQLError(f"could not find sweep {key}", 404)
    if sweep.state in ENDED:
        raise GraphQLError(f"Sweep {sweep.name} is not running", 400)
    sweep.state = "RUNNING"
    agent = Agent(id=state.new_id("Agent"), host=input["host"], sweep=key)
    state.agents[agent.id] = agent
    return {"agent": agent_node(state, agent)}


def heartbeat(state: State, input: Node) -> Node:
    """An agent says what it runs and is told what to do."""
    agent = state.agents.get(input["id"])
    if agent is None:
        raise GraphQLError("agent not found", 404)
    commands = commands_for(state, agent, json.loads(input.get("runState") or "{}"))
    return {"agent": agent_node(state, agent), "commands": json.dumps(commands)}


def commands_for(state: State, agent: Agent, running: dict) -> list[dict]:
    sweep = state.sweeps[agent.sweep]
    for run in (state.runs[key] for key in agent.runs):
        if run.name not in running and run.state in ("pending", "running"):
            run.state = "crashed"  # its process has ended without a word
    if sweep.state in ENDED:
        return [{"type": "exit"}]
    current = {name: state.runs.get((*sweep.key[:2], name)) for name in running}
    stops = [{"type": "stop", "run_id": name} for name, run in current.items() if run and run.stop]
    if sweep.state != "RUNNING" or running:
        return stops
    if exhausted(state, sweep):
        if any(run.state in ("running", "pending") for run in runs_of(state, sweep)):
            return stops
        sweep.state = "FINISHED"
        return [{"type": "exit"}]
    run = next_run(state, sweep)
    if run is None:
        return stops
    agent.runs.append(run.key)
    program = config_of(sweep).get("program")
    return [{"type": "run", "run_id": run.name, "program": program, "args": run.config}]


def is_external(config: dict) -> bool:
    return bool(config.get("scheduler")) or (config.get("controller") or {}).get("type") == "local"


def exhausted(state: State, sweep: Sweep) -> bool:
    config = config_of(sweep)
    if sweep.queue or is_external(config):
        return False
    if config.get("run_cap") and len(runs_of(state, sweep)) >= config["run_cap"]:
        return True
    return config.get("method") == "grid" and sweep.trials >= len(search.grid(config))


def next_run(state: State, sweep: Sweep) -> Run | None:
    config = config_of(sweep)
    if not sweep.queue and not is_external(config):
        is_grid = config.get("method") == "grid"
        point = search.grid(config)[sweep.trials] if is_grid else search.draw(config, sweep.rng)
        queue(state, sweep, point)
        sweep.trials += 1
    return state.runs[sweep.queue.pop(0)] if sweep.queue else None


def best_loss(state: State, sweep: Sweep) -> float | None:
    metric = config_of(sweep).get("metric") or {}
    values = [run.summary.get(metric.get("name")) for run in runs_of(state, sweep)]
    numbers = [value for value in values if isinstance(value, int | float)]
    best = max if metric.get("goal") == "maximize" else min
    return best(numbers, default=None)


def node(state: State, sweep: Sweep | None) -> Node | None:
    if sweep is None:
        return None
    config, members = config_of(sweep), runs_of(state, sweep)
    agents = [agent for agent in state.agents.values() if agent.sweep == sweep.key]
    return {
        "__typename": "Sweep",
        "id": sweep.id,
        "name": sweep.name,
        "displayName": sweep.display_name or config.get("name"),
        "description": config.get("description"),
        "method": config.get("method", ""),
        "config": sweep.config,
        "state": sweep.state,
        "createdAt": sweep.created,
        "updatedAt": sweep.created,
        "heartbeatAt": now(),
        "bestLoss": best_loss(state, sweep),
        "controller": sweep.controller,
        "scheduler": sweep.scheduler,
        "earlyStopJobRunning": False,
        "controllerRunName": sweep.controller_run,
        "runCount": len(members),
        "runCountExpected": len(search.grid(config)) if config.get("method") == "grid" else None,
        "project": projects.short_node(state, *sweep.key[:2]),
        "runs": paged(lambda: [runs.node(state, run) for run in members]),
        "agents": paged(lambda: [agent_node(state, agent) for agent in agents]),
        "agent": lambda agentName=None, **_: agent_node(state, state.agents.get(agentName)),
    }


def agent_node(state: State, agent: Agent | None) -> Node | None:
    if agent is None:
        return None
    return {
        "id": agent.id,
        "name": agent.id,
        "host": agent.host,
        "state": "RUNNING",
        "totalRuns": len(agent.runs),
        "createdAt": agent.created,
        "heartbeatAt": now(),
        "runs": paged(lambda: [runs.node(state, state.runs[key]) for key in agent.runs]),
    }
