"""Users, entities and projects."""

from tests.loopback_wandb import nodes, runs, sweeps, views
from tests.loopback_wandb.graphql import Node, connection, paged
from tests.loopback_wandb.state import ENTITY, State, global_id, now


def get_or_create(state: State, entity: str | None, name: str | None) -> dict:
    key = (entity or ENTITY, name or "uncategorized")
    return state.projects.setdefault(key, {"key": key, "number": next(state.numbers), "created": now()})


def user_node() -> Node:
    return {
        "__typename": "User",
        "id": global_id("User", ENTITY),
        "name": ENTITY,
        "username": ENTITY,
        "email": f"{ENTITY}@localhost",
        "photoUrl": None,
        "entity": ENTITY,
        "admin": False,
        "flags": "{}",
        "deletedAt": None,
        "apiKeys": connection([]),
        "teams": connection([{"name": ENTITY}]),
        "organizations": [],
    }


def entity_node(state: State, name: str) -> Node:
    return {
        "__typename": "Entity",
        "id": global_id("Entity", name),
        "name": name,
        "isTeam": False,
        "entityType": "USER",
        "organization": {
            "name": "loopback-org",
            "orgEntity": {"name": "loopback-org"},
            "coreWeaveOrganizationId": None,
        },
        "xxhashDigestsEnabled": False,
        "user": user_node(),
        "defaultAccess": "PRIVATE",
        "readOnly": False,
        "project": lambda name=None, entity=name: project_node(state, state.projects.get((entity, name))),
    }


def short_node(state: State, entity: str, name: str) -> Node:
    """A project as other things refer to it."""
    return {
        "__typename": "Project",
        "id": global_id("Project", entity, name),
        "internalId": str(get_or_create(state, entity, name)["number"]),
        "name": name,
        "entityName": entity,
        "entity": {
            "__typename": "Entity",
            "id": global_id("Entity", entity),
            "name": entity,
            "organization": None,
        },
    }


def project_node(state: State, project: dict | None) -> Node | None:
    if project is None:
        return None
    entity, name = project["key"]

    def find_runs(first=None, after=None, order=None, filters=None, **_) -> Node:
        found = runs.find(state, entity, name, filters, order)
        return connection([runs.node(state, run) for run in found], first, after)

    def find_run(name=None, project=name, **_) -> Node | None:
        return runs.node(state, state.runs.get((entity, project, name)))

    def find_collections() -> list:
        return [c for key, c in state.collections.items() if key[:2] == (entity, name)]

    def find_sweeps() -> list:
        return [s for key, s in state.sweeps.items() if key[:2] == (entity, name)]

    def find_views(first=None, after=None, viewType=None, viewName=None, **_) -> Node:
        found = views.find(state, entity, name, viewType, viewName)
        return connection([views.node(state, view) for view in found], first, after)

    def types() -> list[str]:
        return sorted({collection.type for collection in find_collections()})

    def membership(name=None, project=name, **_) -> Node | None:
        collection = state.collections.get((entity, project, name.split(":")[0]))
        return nodes.membership_node(state, nodes.by_name(state, entity, project, name), collection)

    return {
        **short_node(state, entity, name),
        "entity": entity_node(state, entity),
        "createdAt": project["created"],
        "updatedAt": project["created"],
        "isBenchmark": False,
        "user": user_node(),
        "readOnly": False,
        "access": "PRIVATE",
        "description": "",
        "views": "{}",
        "tags": [],
        "linkedToRegistry": False,
        "runCount": lambda filters=None: len(runs.find(state, entity, name, filters)),
        "runs": find_runs,
        "buckets": find_runs,
        "run": find_run,
        "bucket": find_run,
        "sweep": lambda sweepName=None, **_: sweeps.node(state, state.sweeps.get((entity, name, sweepName))),
        "sweeps": paged(lambda: [sweeps.node(state, sweep) for sweep in find_sweeps()]),
        "totalSweeps": lambda: len(find_sweeps()),
        "artifactTypes": paged(lambda: [nodes.type_node(state, entity, name, kind) for kind in types()]),
        "artifactType": lambda name=None, project=name, **_: (
            nodes.type_node(state, entity, project, name) if name in types() else None
        ),
        "artifactCollection": lambda name=None, project=name, **_: nodes.collection_node(
            state, state.collections.get((entity, project, name))
        ),
        "artifactCollections": paged(lambda: [nodes.collection_node(state, c) for c in find_collections()]),
        "artifact": lambda name=None, project=name, **_: nodes.artifact_node(
            state, nodes.by_name(state, entity, project, name)
        ),
        "artifactCollectionMembership": membership,
        "allViews": find_views,
    }
