"""What the client does to artifacts: create, upload, commit, use, alias, link, delete."""

import json
import uuid

from tests.loopback_wandb import projects
from tests.loopback_wandb.graphql import GraphQLError, Node, connection
from tests.loopback_wandb.nodes import artifact_node, manifest_content, manifest_node, membership_node
from tests.loopback_wandb.state import ENTITY, Artifact, Collection, Manifest, State, global_id


def collection(state: State, key: tuple, type: str, kind: str = "ArtifactSequence") -> Collection:
    projects.get_or_create(state, *key[:2])
    return state.collections.setdefault(key, Collection(key=key, type=type, kind=kind))


def create(state: State, input: Node) -> Node:
    """A new version, or the existing one with the same digest."""
    entity, project = input.get("entityName") or ENTITY, input["projectName"]
    names = input.get("artifactCollectionNames") or [input.get("artifactCollectionName")]
    home = collection(state, (entity, project, names[0]), input["artifactTypeName"])
    aliases = [alias["alias"] for alias in input.get("aliases") or []]

    same = [state.artifacts[i] for i in home.versions if state.artifacts[i].digest == input["digest"]]
    committed = [artifact for artifact in same if artifact.state == "COMMITTED"]
    if committed and input.get("enableDigestDeduplication"):
        artifact = committed[0]
        for alias in aliases:
            home.set_alias(artifact.id, alias)
    else:
        artifact = Artifact(
            id=state.new_id("Artifact"),
            home=home.key,
            digest=input["digest"],
            run=(entity, project, input["runName"]) if input.get("runName") else None,
            client_id=input.get("clientID"),
            metadata=json.loads(input.get("metadata") or "{}"),
            description=input.get("description"),
            ttl=input.get("ttlDurationSeconds"),
            tags=[tag.get("tagName") or tag.get("name") for tag in input.get("tags") or []],
            step=input.get("historyStep"),
            wanted_aliases=aliases,
        )
        state.artifacts[artifact.id] = artifact
        home.versions.append(artifact.id)
    if input.get("clientID"):
        state.client_ids[input["clientID"]] = artifact.id
    return {"artifact": artifact_node(state, artifact)}


def create_manifest(state: State, input: Node) -> Node:
    manifest = Manifest(
        id=state.new_id("ArtifactManifest"),
        file=state.data / "manifests" / uuid.uuid4().hex,
        type=input.get("type"),
        base=input.get("baseArtifactID"),
    )
    state.manifests[manifest.id] = manifest
    state.artifacts[input["artifactID"]].manifest = manifest.id
    return {"artifactManifest": manifest_node(state, manifest)}


def update_manifest(state: State, input: Node) -> Node:
    manifest = state.manifests[input["artifactManifestID"]]
    manifest.base = input.get("baseArtifactID") or manifest.base
    return {"artifactManifest": manifest_node(state, manifest)}


def create_files(state: State, input: Node) -> Node:
    """Where to upload each file; no address for content the server has, so the client does not upload it."""
    files = [
        {
            "id": global_id("ArtifactFile", file["name"]),
            "name": file["name"],
            "displayName": file["name"],
            "storagePath": f"wandb_artifacts/{file['md5']}",
            "uploadUrl": None if state.blob(file["md5"]).exists() else state.blob_url(file["md5"]),
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
            "artifact": {"id": file["artifactID"]},
        }
        for file in input["artifactFiles"]
    ]
    return {"files": connection(files)}


def commit(state: State, input: Node) -> Node:
    artifact = state.artifacts[input["artifactID"]]
    home = state.collections[artifact.home]
    manifest = state.manifests.get(artifact.manifest)
    content = manifest_content(state, artifact)
    if manifest and manifest.type == "INCREMENTAL" and manifest.base:  # merged by the server, not the client
        older = manifest_content(state, state.artifacts[manifest.base])
        content["contents"] = {**older["contents"], **content["contents"]}
        manifest.file.write_text(json.dumps(content))
    entries = content["contents"].values()
    artifact.size, artifact.count = sum(entry.get("size") or 0 for entry in entries), len(entries)
    artifact.state = "COMMITTED"
    taken = [state.artifacts[i].numbers.get(home.key, -1) for i in home.versions]
    artifact.numbers[home.key] = max(taken) + 1
    for alias in [*artifact.wanted_aliases, "latest"]:
        home.set_alias(artifact.id, alias)
    return {"artifact": artifact_node(state, artifact)}


def use(state: State, input: Node) -> Node:
    run = state.runs[input.get("entityName") or ENTITY, input["projectName"], input["runName"]]
    if input["artifactID"] not in run.used:
        run.used.append(input["artifactID"])
    return {"artifact": artifact_node(state, state.artifacts[input["artifactID"]])}


def link(state: State, input: Node) -> Node:
    artifact = state.artifacts[input.get("artifactID") or state.client_ids[input["clientID"]]]
    key = (input["entityName"], input["projectName"], input["artifactPortfolioName"])
    portfolio = collection(state, key, state.collections[artifact.home].type, "ArtifactPortfolio")
    if artifact.id not in portfolio.versions:
        artifact.numbers[key] = len(portfolio.versions)
        portfolio.versions.append(artifact.id)
    for alias in [alias["alias"] for alias in input.get("aliases") or []] + ["latest"]:
        portfolio.set_alias(artifact.id, alias)
    return {
        "versionIndex": artifact.numbers[key],
        "artifactMembership": membership_node(state, artifact, portfolio),
    }


def update(state: State, input: Node) -> Node:
    artifact = state.artifacts[input["artifactID"]]
    if input.get("metadata") is not None:
        artifact.metadata = json.loads(input["metadata"])
    if input.get("description") is not None:
        artifact.description = input["description"]
    if input.get("ttlDurationSeconds") is not None:
        artifact.ttl = input["ttlDurationSeconds"]
    artifact.tags += [tag["tagName"] for tag in input.get("tagsToAdd") or []]
    return {"artifact": artifact_node(state, artifact)}


def delete(state: State, input: Node) -> Node:
    artifact = state.artifacts[input["artifactID"]]
    home = state.collections[artifact.home]
    if home.aliases.get(artifact.id) and not input.get("deleteAliases"):
        raise GraphQLError("cannot delete an artifact with aliases")
    artifact.state = "DELETED"
    home.aliases.pop(artifact.id, None)
    return {"artifact": {"id": artifact.id}}


def add_aliases(state: State, input: Node) -> Node:
    for owner, alias in alias_owners(state, input):
        owner.set_alias(input["artifactID"], alias)
    return {"success": True}


def delete_aliases(state: State, input: Node) -> Node:
    for owner, alias in alias_owners(state, input):
        names = owner.aliases.get(input["artifactID"], [])
        if alias in names:
            names.remove(alias)
    return {"success": True}


def alias_owners(state: State, input: Node) -> list[tuple[Collection, str]]:
    entity, project, _ = state.artifacts[input["artifactID"]].home
    return [
        (
            state.collections[
                alias.get("entityName") or entity,
                alias.get("projectName") or project,
                alias["artifactCollectionName"],
            ],
            alias["alias"],
        )
        for alias in input["aliases"]
    ]
