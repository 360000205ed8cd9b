"""deploy/kubernetes: valid for the API server, and in step with the program and its image."""

import copy
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from etl import __version__
from etl.cli import build_parser
from etl.input.config_file import read_settings
from tests.deploy.manifests import (
    FOLDER,
    KUSTOMIZATIONS,
    MANIFESTS,
    PODS,
    REPOSITORY,
    container_of,
    generated,
    read,
    used,
    values,
)

SERVED = ("1.30", "1.37")
"""The oldest version of Kubernetes that docs/kubernetes.md names, and the newest known."""


@pytest.mark.parametrize("version", SERVED)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_fits_the_schema(name: str, version: str) -> None:
    kubernetes_validate.validate(read(MANIFESTS[name]), version, strict=True)


def test_a_misspelt_key_is_found() -> None:
    broken = copy.deepcopy(read(MANIFESTS["service/deployment"]))
    broken["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, SERVED[-1], strict=True)


def test_the_docs_name_the_oldest_version() -> None:
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")

    assert f"Kubernetes {SERVED[0]} or newer" in page


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_a_kustomization_lists_every_file_beside_it(name: str) -> None:
    path = KUSTOMIZATIONS[name]
    listed = read(path)["resources"]
    beside = {one.name for one in path.parent.glob("*.yaml")} - {path.name}

    assert {one for one in listed if one.endswith(".yaml")} == beside
    assert all((path.parent / one).exists() for one in listed)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_asks_only_for_what_its_kustomization_makes(name: str) -> None:
    made = generated(name.partition("/")[0])
    asked = used(PODS[name])

    assert asked
    assert [(source, key) for source, key in asked if key not in made.get(source, ())] == []


def test_secrets_stay_out_of_git() -> None:
    for path in KUSTOMIZATIONS.values():
        for generator in read(path).get("secretGenerator", ()):
            for file in generator["files"]:
                folder = (path.parent / file.partition("=")[2]).parent
                ignored = (folder / ".gitignore").read_text(encoding="utf-8").split("\n")
                assert "*" in ignored


@pytest.mark.parametrize("name", PODS)
def test_a_pod_runs_as_the_image_does_and_may_do_nothing_else(name: str) -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    pod, container = PODS[name]["spec"], container_of(PODS[name])

    assert user
    assert pod["securityContext"] == {
        "fsGroup": int(user[2]),
        "runAsGroup": int(user[2]),
        "runAsNonRoot": True,
        "runAsUser": int(user[1]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["automountServiceAccountToken"] is False
    assert {"requests", "limits"} <= set(container["resources"])


@pytest.mark.parametrize("name", PODS)
def test_a_pod_starts_a_command_of_this_version(name: str) -> None:
    container = container_of(PODS[name])
    images = read(KUSTOMIZATIONS[name.partition("/")[0]])["images"]

    assert build_parser().parse_args(container["args"]).command == container["args"][0]
    assert [(one["name"], one["newTag"]) for one in images] == [(container["image"], __version__)]


@pytest.mark.parametrize("name", [name for name in PODS if "migrate" not in name])
def test_the_program_finds_its_files_where_they_are_mounted(name: str) -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
    config = re.search(r"ETL_CONFIG=(\S+)", dockerfile)
    container = container_of(PODS[name])
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    environ = {one["name"]: one.get("value") for one in container["env"]}

    assert config
    assert config[1] == f"{mounts['config']}/config.toml"
    assert environ["GUMLOOP_API_KEY_FILE"] == f"{mounts['secrets']}/api-key"


def test_the_job_and_the_pods_use_roles_of_their_own() -> None:
    job = container_of(PODS["migrate/job"])
    environ = {one["name"]: one["value"] for one in job["env"] if "value" in one}
    owner = read_settings(FOLDER / "base" / "config.toml", environ).database.url
    worker = read_settings(FOLDER / "base" / "config.toml", {}).database.url

    assert owner == worker.replace("gumloop_worker", "gumloop_owner")
    assert owner != worker


def test_probes_policy_and_metrics_agree_on_the_port() -> None:
    container = container_of(PODS["service/deployment"])
    listen = read_settings(FOLDER / "base" / "config.toml", {}).service.listen
    (port,) = container["ports"]
    (ingress,) = read(MANIFESTS["base/network-policy"])["spec"]["ingress"]
    (metrics,) = read(MANIFESTS["service/metrics"])["spec"]["ports"]

    assert listen == f"0.0.0.0:{port['containerPort']}"
    assert ingress["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    assert (metrics["port"], metrics["targetPort"]) == (port["containerPort"], port["name"])
    assert set(probes(container)) == {("/healthz", port["name"]), ("/readyz", port["name"])}


def probes(container: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["path"], one["port"]) for one in values(container, "httpGet")]


@pytest.mark.parametrize("name", [name for name in PODS if "service" not in name])
def test_a_job_gives_up_on_a_mistake_in_the_configuration(name: str) -> None:
    (policy,) = values(read(MANIFESTS[name]), "podFailurePolicy")
    (codes,) = values(policy, "onExitCodes")

    assert codes == {"containerName": "etl", "operator": "In", "values": [2]}
    assert policy["rules"][0]["action"] == "FailJob"
    assert PODS[name]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", PODS)
def test_labels_put_every_pod_under_the_policy(name: str) -> None:
    document, policy = read(MANIFESTS[name]), read(MANIFESTS["base/network-policy"])
    labels = PODS[name]["metadata"]["labels"]

    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    if "selector" in document["spec"]:
        assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for other in ("service/metrics", "service/disruption-budget"):
        selector = read(MANIFESTS[other])["spec"]["selector"]
        chosen = selector.get("matchLabels", selector).items() <= labels.items()
        assert chosen == (name == "service/deployment")


def test_the_docs_name_every_folder() -> None:
    page = (REPOSITORY / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    named = set(re.findall(r"deploy/kubernetes/(\w+)", page))

    assert named == {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert all((REPOSITORY / Path(one)).exists() for one in re.findall(r"`(deploy/[\w/.]+)`", page))
