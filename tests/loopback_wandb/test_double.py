"""The double's own parts, where the client's tests would not say what is wrong."""

import json
from collections import Counter

from tests.loopback_wandb import runs, search, sweeps
from tests.loopback_wandb.filters import accepts, ordered
from tests.loopback_wandb.graphql import Query, paged
from tests.loopback_wandb.state import State


def test_a_query_is_walked_over_dicts_and_unknown_fields_are_counted():
    text = """
    query Q($name: String = "x", $deep: Boolean!) {
      thing(name: $name) { ...F also: name new hidden @include(if: $deep) { a } }
      list(first: 2) { edges { node { name } } pageInfo { hasNextPage endCursor } }
    }
    fragment F on Thing { name inner { a } inner { b } }
    """
    root = {
        "thing": lambda name: {"name": name, "inner": {"a": 1, "b": 2}, "hidden": {"a": 3}},
        "list": paged(lambda: [{"name": letter} for letter in "abc"]),
    }
    unknown = Counter()
    assert Query(text, {"deep": False}, "Q", unknown).run(root, {}) == {
        "thing": {"name": "x", "inner": {"a": 1, "b": 2}, "also": "x", "new": None},
        "list": {
            "edges": [{"node": {"name": "a"}}, {"node": {"name": "b"}}],
            "pageInfo": {"hasNextPage": True, "endCursor": "2"},
        },
    }
    assert unknown == {"Q: query.thing.new": 1}


def test_filters_and_orders():
    document = {"number": 1, "tags": ["a"], "config": {"lr": {"value": 0.1}}, "summary_metrics": {"wer": 0.5}}
    assert accepts({"$and": [{"config.lr": 0.1}, {"tags": "a"}, {"summary_metrics.wer": {"$lt": 0.6}}]}, document)
    assert not accepts({"$or": [{"config.lr": {"$gt": 0.1}}, {"summary_metrics.cer": {"$exists": True}}]}, document)
    assert not accepts({"summary_metrics.cer": {"$lt": 1}}, document)
    other = {**document, "number": 2, "summary_metrics": {"wer": 0.25}}
    assert ordered([document, other], "+summary_metrics.wer") == [other, document]
    assert ordered([document, other], None) == [other, document]


def test_grid_and_random_points():
    parameters = {"a": {"values": [1, 2]}, "b": {"parameters": {"c": {"min": 3, "max": 4}}}}
    points = search.grid({"parameters": parameters})
    assert points == [{"a": {"value": a}, "b": {"value": {"c": c}}} for a in (1, 2) for c in (3, 4)]


def test_a_sweep_hands_out_its_grid_and_ends(tmp_path):
    state = State(tmp_path)
    config = "{method: grid, program: train.py, parameters: {x: {values: [1, 2]}}}"
    sweep = sweeps.upsert(state, {"projectName": "p", "config": config})["sweep"]
    agent = sweeps.create_agent(state, {"projectName": "p", "sweep": sweep["name"], "host": "h"})["agent"]

    def beat() -> dict:
        (command,) = json.loads(sweeps.heartbeat(state, {"id": agent["id"]})["commands"])
        return command

    for x in (1, 2):
        command = beat()
        assert (command["type"], command["args"]) == ("run", {"x": {"value": x}})
        runs.upsert(state, {"modelName": "p", "name": command["run_id"]})
        runs.file_stream(state, ("loopback", "p", command["run_id"]), {"complete": True, "exitcode": 0})
    assert beat() == {"type": "exit"}
