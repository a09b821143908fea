"""Artifacts as the client reads them: versions, collections, types, memberships, manifests."""

import json

from tests.loopback_wandb import projects, runs
from tests.loopback_wandb.graphql import Node, connection, paged
from tests.loopback_wandb.state import Artifact, Collection, Manifest, State, global_id, now


def by_name(state: State, entity: str, project: str, name: str) -> Artifact | None:
    """The version called `collection:vN`, `collection:alias` or `collection:digest`."""
    title, _, version = name.partition(":")
    collection = state.collections.get((entity, project, title))
    for artifact in committed(state, collection) if collection else ():
        names = [f"v{artifact.numbers.get(collection.key)}", *collection.aliases.get(artifact.id, ())]
        if (version or "latest") in [*names, artifact.digest]:
            return artifact
    return None


def committed(state: State, collection: Collection) -> list[Artifact]:
    """A collection's finished versions, oldest first."""
    versions = [state.artifacts[i] for i in collection.versions]
    return [artifact for artifact in versions if artifact.state == "COMMITTED"]


def alias_node(alias: str, collection: Node | None = None) -> Node:
    node = {"__typename": "ArtifactAlias", "id": global_id("Alias", alias), "alias": alias}
    return node if collection is None else {**node, "artifactCollection": collection}


def short_type_node(name: str) -> Node:
    return {"__typename": "ArtifactType", "id": global_id("ArtifactType", name), "name": name}


def type_node(state: State, entity: str, project: str, name: str) -> Node:
    def collections() -> list[Collection]:
        return [c for key, c in state.collections.items() if (*key[:2], c.type) == (entity, project, name)]

    def collection(name=None, **_) -> Node | None:
        return collection_node(state, next((c for c in collections() if c.name == name), None))

    return {
        "__typename": "ArtifactType",
        "id": global_id("ArtifactType", entity, project, name),
        "name": name,
        "description": None,
        "createdAt": now(),
        "artifactCollections": paged(lambda: [collection_node(state, c) for c in collections()]),
        "artifactCollection": collection,
        "artifact": lambda name=None, **_: artifact_node(state, by_name(state, entity, project, name)),
    }


def short_collection_node(state: State, collection: Collection) -> Node:
    kind = short_type_node(collection.type)
    return {
        "__typename": collection.kind,
        "id": collection.id,
        "name": collection.name,
        "project": projects.short_node(state, *collection.key[:2]),
        "defaultArtifactType": kind,
        "artifactType": kind,
    }


def collection_node(state: State, collection: Collection | None) -> Node | None:
    if collection is None:
        return None
    versions = committed(state, collection)

    def artifacts(first=None, after=None, **_) -> Node:
        page = connection([artifact_node(state, a) for a in reversed(versions)], first, after)
        for edge in page["edges"]:
            edge["version"] = f"v{edge['node']['numbers'].get(collection.key)}"
        return page

    def membership(aliasName=None, **_) -> Node | None:
        entity, project, name = collection.key
        return membership_node(state, by_name(state, entity, project, f"{name}:{aliasName}"), collection)

    return {
        **short_collection_node(state, collection),
        "description": None,
        "createdAt": collection.created,
        "updatedAt": collection.created,
        "state": "READY",
        "digestAlgorithm": "MD5",
        "tags": connection([]),
        "latestArtifact": {"id": versions[-1].id} if versions else None,
        "aliases": paged(lambda: [alias_node(a) for names in collection.aliases.values() for a in names]),
        "artifacts": artifacts,
        "artifactMembership": membership,
    }


def membership_node(state: State, artifact: Artifact | None, collection: Collection | None) -> Node | None:
    """A version in a collection."""
    if artifact is None or collection is None:
        return None
    node = artifact_node(state, artifact)
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": global_id("Membership", collection.id, artifact.id),
        "versionIndex": artifact.numbers.get(collection.key),
        "createdAt": artifact.created,
        "aliases": [alias_node(alias) for alias in collection.aliases.get(artifact.id, ())],
        "artifactCollection": collection_node(state, collection),
        "artifact": node,
        "files": node["files"],
        "filesByManifestEntries": node["filesByManifestEntries"],
    }


def manifest_node(state: State, manifest: Manifest) -> Node:
    url = state.manifest_url(manifest)
    names = dict.fromkeys(["name", "displayName"], "wandb_manifest.json")
    urls = dict.fromkeys(["url", "directUrl", "uploadUrl"], url)
    return {"id": manifest.id, "file": {"id": manifest.id, **names, **urls, "uploadHeaders": []}}


def manifest_content(state: State, artifact: Artifact) -> dict:
    manifest = state.manifests.get(artifact.manifest)
    if manifest is None or not manifest.file.exists():
        return {"contents": {}}
    return json.loads(manifest.file.read_bytes())


def artifact_node(state: State, artifact: Artifact | None) -> Node | None:
    if artifact is None:
        return None
    home = state.collections[artifact.home]
    members = [c for c in state.collections.values() if artifact.id in c.versions]
    manifest = state.manifests.get(artifact.manifest)

    def files(first=None, after=None, names=None, **_) -> Node:
        entries = manifest_content(state, artifact)["contents"].items()
        chosen = [file_node(state, artifact, n, e) for n, e in entries if not names or n in names]
        return connection(chosen, first, after)

    def files_by_entries(entries=None, first=None, after=None, **_) -> Node:
        wanted = [{"name": e["name"], "directUrl": state.blob_url(e["digest"])} for e in entries or []]
        return connection(wanted, first, after)

    def used_by() -> list[Node]:
        return [runs.short_node(state, run) for run in state.runs.values() if artifact.id in run.used]

    maker = state.runs.get(artifact.run)
    return {
        "__typename": "Artifact",
        "id": artifact.id,
        "type": home.type,
        "artifactType": short_type_node(home.type),
        "artifactSequence": collection_node(state, home),
        "versionIndex": artifact.numbers.get(home.key),
        "numbers": artifact.numbers,
        "description": artifact.description,
        "metadata": json.dumps(artifact.metadata),
        "ttlDurationSeconds": -1 if artifact.ttl is None else artifact.ttl,
        "ttlIsInherited": artifact.ttl is None,
        "tags": [{"__typename": "Tag", "id": global_id("Tag", tag), "name": tag} for tag in artifact.tags],
        "historyStep": artifact.step,
        "state": artifact.state,
        "size": artifact.size,
        "storageBytes": artifact.size,
        "fileCount": artifact.count,
        "digest": artifact.digest,
        "digestAlgorithm": "MANIFEST_MD5",
        "commitHash": artifact.id[-20:],
        "createdAt": artifact.created,
        "updatedAt": artifact.created,
        "isLinked": False,
        "aliases": [
            alias_node(alias, short_collection_node(state, c))
            for c in members
            for alias in c.aliases.get(artifact.id, ())
        ],
        "currentManifest": manifest_node(state, manifest) if manifest else None,
        "files": files,
        "filesByManifestEntries": files_by_entries,
        "artifactMemberships": paged(lambda: [membership_node(state, artifact, c) for c in members]),
        "artifactCollections": paged(lambda: [short_collection_node(state, c) for c in members]),
        "createdBy": runs.short_node(state, maker) if maker else None,
        "usedBy": paged(used_by),
    }


def file_node(state: State, artifact: Artifact, name: str, entry: dict) -> Node:
    url = state.blob_url(entry["digest"])
    return {
        "__typename": "File",
        "id": global_id("ArtifactFile", artifact.id, name),
        "name": name,
        "displayName": name,
        "url": url,
        "directUrl": url,
        "sizeBytes": entry.get("size"),
        "md5": entry["digest"],
        "digest": entry["digest"],
        "storagePath": entry["digest"],
        "mimetype": None,
        "updatedAt": now(),
    }
