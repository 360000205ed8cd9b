"""The manifests of deploy/kubernetes, as values: no cluster and no kustomize is needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "deploy" / "kubernetes"
KUSTOMIZATIONS = {path.parent.name: path for path in sorted(FOLDER.glob("*/kustomization.yaml"))}
MANIFESTS = {
    f"{path.parent.name}/{path.stem}": path
    for path in sorted(FOLDER.glob("*/*.yaml"))
    if path.name != "kustomization.yaml"
}

Document = dict[str, Any]


def read(path: Path) -> Document:
    """The one document of a file."""
    found: Document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def pod_of(document: Document) -> Document | None:
    """What a Deployment, Job or CronJob starts."""
    spec = document["spec"].get("jobTemplate", document)["spec"]
    found: Document | None = spec.get("template")
    return found


PODS = {name: pod for name, path in MANIFESTS.items() if (pod := pod_of(read(path)))}


def container_of(pod: Document) -> Document:
    """The only container of a pod."""
    (found,) = pod["spec"]["containers"]
    return dict(found)


def values(tree: Any, key: str) -> Iterator[Any]:
    """Whatever stands under a key, at any depth."""
    if isinstance(tree, dict):
        if key in tree:
            yield tree[key]
        for below in tree.values():
            yield from values(below, key)
    elif isinstance(tree, list):
        for below in tree:
            yield from values(below, key)


def generated(kustomization: str) -> dict[str, set[str]]:
    """The ConfigMaps and Secrets that a kustomization and its bases make, with their keys."""
    path = KUSTOMIZATIONS[kustomization]
    found: dict[str, set[str]] = {}
    for base in read(path).get("resources", ()):
        if (path.parent / base).is_dir():
            found |= generated(Path(base).name)
    for kind in ("configMap", "secret"):
        for one in read(path).get(f"{kind}Generator", ()):
            files = {file.partition("=")[0] for file in one.get("files", ())}
            found[f"{kind} {one['name']}"] = files | set(variables(path.parent, one))
    return found


def variables(folder: Path, generator: Document) -> list[str]:
    """The names in a generator's files of variables."""
    lines = [
        line
        for name in generator.get("envs", ())
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    ]
    return [line.partition("=")[0] for line in lines if line and not line.startswith("#")]


def used(pod: Document) -> set[tuple[str, str]]:
    """The keys of ConfigMaps and Secrets that a pod needs to start."""
    spec = pod["spec"]
    found = {(f"configMap {one['name']}", one["key"]) for one in values(spec, "configMapKeyRef")}
    found |= {(f"secret {one['name']}", one["key"]) for one in values(spec, "secretKeyRef")}
    for volume in spec["volumes"]:
        for kind, name in (("configMap", "name"), ("secret", "secretName")):
            if source := volume.get(kind):
                found |= {(f"{kind} {source[name]}", item["key"]) for item in source["items"]}
    return found
