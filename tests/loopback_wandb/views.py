"""Reports and workspaces: both are views, a JSON specification with a name."""

import uuid

from tests.loopback_wandb import projects
from tests.loopback_wandb.graphql import Node, connection
from tests.loopback_wandb.state import ENTITY, State, now

FIELDS = ("type", "name", "displayName", "description", "spec")


def upsert(state: State, input: Node) -> Node:
    given = {name: value for name, value in input.items() if value is not None}
    inserted = given.get("id") not in state.views
    view_id = state.new_id("View") if inserted else given["id"]
    view = state.views.setdefault(
        view_id,
        {
            "id": view_id,
            "key": (given.get("entityName") or ENTITY, given.get("projectName")),
            "type": "runs",
            "name": uuid.uuid4().hex[:8],
            "displayName": "",
            "description": "",
            "spec": "{}",
            "createdAt": now(),
        },
    )
    projects.get_or_create(state, *view["key"])
    view.update({field: given[field] for field in FIELDS if field in given}, updatedAt=now())
    return {"view": node(state, view), "inserted": inserted}


def delete(state: State, input: Node) -> Node:
    return {"success": state.views.pop(input["id"], None) is not None, "pendingDrafts": []}


def find(state: State, entity: str, project: str, type: str | None, name: str | None) -> list[dict]:
    return [
        view
        for view in state.views.values()
        if view["key"] == (entity, project)
        and type in (None, view["type"])
        and name in (None, view["name"], view["displayName"])
    ]


def node(state: State, view: dict | None) -> Node | None:
    if view is None:
        return None
    return {
        "__typename": "View",
        **{field: view[field] for field in ("id", *FIELDS, "createdAt", "updatedAt")},
        "project": projects.short_node(state, *view["key"]),
        "user": projects.user_node(),
        "previewUrl": None,
        "starCount": 0,
        "viewCount": 0,
        "accessTokens": connection([]),
        "locked": False,
    }
