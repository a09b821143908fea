"""The fields at the root of queries and mutations."""

from functools import partial

from tests.loopback_wandb import artifacts, nodes, projects, runs, sweeps, views
from tests.loopback_wandb.graphql import Node, paged
from tests.loopback_wandb.state import ENTITY, State

#: Features the double claims to have: names of wandb's protobuf enum ServerFeature.
FEATURES = (
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "FILESTREAM_GZIP",
    "LARGE_FILENAMES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "SWEEPS_LOCAL_SCHEDULER",
    "SWEEPS_QUERY_FILTERING",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
)

MUTATIONS = {
    "upsertBucket": runs.upsert,
    "stopRun": runs.stop,
    "createRunFiles": runs.create_files,
    "createArtifact": artifacts.create,
    "createArtifactManifest": artifacts.create_manifest,
    "updateArtifactManifest": artifacts.update_manifest,
    "createArtifactFiles": artifacts.create_files,
    "commitArtifact": artifacts.commit,
    "useArtifact": artifacts.use,
    "linkArtifact": artifacts.link,
    "updateArtifact": artifacts.update,
    "deleteArtifact": artifacts.delete,
    "addAliases": artifacts.add_aliases,
    "deleteAliases": artifacts.delete_aliases,
    "upsertSweep": sweeps.upsert,
    "enqueueSweepRun": sweeps.enqueue,
    "createAgent": sweeps.create_agent,
    "agentHeartbeat": sweeps.heartbeat,
    "upsertView": views.upsert,
    "deleteView": views.delete,
}


def mutations(state: State) -> Node:
    def upsert_project(input: Node) -> Node:
        project = projects.get_or_create(state, input.get("entityName"), input.get("name"))
        return {"project": projects.project_node(state, project), "model": None, "inserted": True}

    def accepted(**_) -> Node:
        return {"success": True}

    return {
        **{name: partial(mutation, state) for name, mutation in MUTATIONS.items()},
        "upsertModel": upsert_project,
        "markRunFilesUploaded": accepted,
        "notifyScriptableRunAlert": accepted,
        "createAnonymousEntity": accepted,
    }


def queries(state: State) -> Node:
    def project(name=None, entityName=None, **_) -> Node | None:
        return projects.project_node(state, state.projects.get((entityName or ENTITY, name)))

    def collection(id=None, **_) -> Node | None:
        found = next((c for c in state.collections.values() if c.id == id), None)
        return nodes.collection_node(state, found)

    def client_id(clientID=None, **_) -> Node | None:
        return {"serverID": state.client_ids[clientID]} if clientID in state.client_ids else None

    def own_projects(entityName=None, first=None, after=None, **_) -> Node:
        own = [p for key, p in state.projects.items() if key[0] == (entityName or ENTITY)]
        return paged(lambda: [projects.project_node(state, p) for p in own])(first, after)

    versions = {"outOfDate": False, "latestVersionString": "9.9.9", "versionOnThisInstanceString": "9.9.9"}
    return {
        "viewer": lambda **_: projects.user_node(),
        "users": paged(lambda: [projects.user_node()]),
        "serverInfo": {
            "cliVersionInfo": {"max_cli_version": "9.9.9", "min_cli_version": "0.0.1"},
            "features": [{"name": name, "isEnabled": True} for name in FEATURES],
            "latestLocalVersionInfo": versions,
            "exposesExplicitNullOnMissing": True,
        },
        "entity": lambda name=None, **_: projects.entity_node(state, name or ENTITY),
        "organization": lambda name=None, **_: {"name": name, "featureFlags": lambda **_: []},
        "project": project,
        "model": project,
        "models": own_projects,
        "artifact": lambda id=None, **_: nodes.artifact_node(state, state.artifacts.get(id)),
        "artifactCollection": collection,
        "clientIDMapping": client_id,
        "view": lambda id=None, **_: views.node(state, state.views.get(id)),
    }
