"""The work pool's template of jobs, against Kubernetes' own schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

from mirror.paths import CHECKOUT

TEMPLATE = CHECKOUT / "deploy" / "kubernetes" / "base-job-template.json"
VERSIONS = ("1.30", "1.37")


def template() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TEMPLATE.read_text())
    return found


def job(**given: Any) -> dict[str, Any]:
    """The job that a worker would make: defaults and given values filled in."""
    properties = template()["variables"]["properties"]
    values = {key: value["default"] for key, value in properties.items() if "default" in value}
    values |= {"image": "registry.example/mirror:1", "command": ["prefect", "flow-run"], **given}
    filled: dict[str, Any] = apply_values(template()["job_configuration"], values)
    manifest: dict[str, Any] = filled["job_manifest"]
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    # As Prefect's worker does before it hands the job over.
    container["env"] = [{"name": key, "value": value} for key, value in container["env"].items()]
    return manifest


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("gpus", [0, 2])
def test_the_job_is_one_that_kubernetes_takes(version: str, gpus: int) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(job(gpus=gpus), version, strict=True)


def test_a_job_that_is_wrong_would_be_noticed() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    wrong = job()
    wrong["spec"]["template"]["spec"]["parallelism"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_every_placeholder_is_a_variable_and_every_variable_has_its_place() -> None:
    found = template()
    used = {place.name for place in find_placeholders(found["job_configuration"])}
    assert used == set(found["variables"]["properties"])


def test_prefect_takes_the_template() -> None:
    made = WorkPoolCreate(name="mirror", type="kubernetes", base_job_template=template())
    assert made.base_job_template["variables"]["required"] == ["image"]


def test_jobs_are_not_root_and_secrets_come_from_a_secret() -> None:
    spec = job()["spec"]["template"]["spec"]
    [container] = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["envFrom"] == [{"secretRef": {"name": "mirror"}}]
    names = [one["name"] for one in container["env"]]
    assert names == ["MIRROR_HOME", "PREFECT_LOGGING_EXTRA_LOGGERS"]


def test_the_user_and_the_workspace_are_those_of_the_image() -> None:
    dockerfile = (TEMPLATE.parents[2] / "Dockerfile").read_text()
    spec = job()["spec"]["template"]["spec"]
    assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
    place = spec["containers"][0]["volumeMounts"][0]["mountPath"]
    assert f"MIRROR_HOME={place} " in dockerfile
