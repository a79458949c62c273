"""The files of `deploy/kubernetes`, read; and what Kubernetes' own client makes of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
from kubernetes import client  # type: ignore[import-untyped]

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
MANIFESTS = ("code-server.yaml", "intake.yaml", "network.yaml", "settings.yaml", "set-up/job.yaml")

_MODELS = {
    "ConfigMap": client.V1ConfigMap,
    "Deployment": client.V1Deployment,
    "Ingress": client.V1Ingress,
    "Job": client.V1Job,
    "NetworkPolicy": client.V1NetworkPolicy,
    "PodDisruptionBudget": client.V1PodDisruptionBudget,
    "Service": client.V1Service,
    "ServiceAccount": client.V1ServiceAccount,
}


def documents(name: str) -> list[dict[str, Any]]:
    """The documents of one file."""
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def document(name: str) -> dict[str, Any]:
    """The one document of a file."""
    (found,) = documents(name)
    return found


def manifests() -> Iterator[dict[str, Any]]:
    """All objects that are applied."""
    for name in MANIFESTS:
        yield from documents(name)


def found(kind: str, name: str) -> dict[str, Any]:
    """One object."""
    (it,) = (it for it in manifests() if (it["kind"], it["metadata"]["name"]) == (kind, name))
    return it


def understood(model: type[Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """What Kubernetes' client understands of an object.

    Raises:
        Exception: The object has a field that there is not, or one of another type.
    """
    made = k8s_model_from_dict(model, k8s_snake_case_dict(model, written))
    return cast("dict[str, Any]", client.ApiClient().sanitize_for_serialization(made))


def model_of(written: Mapping[str, Any]) -> type[Any]:
    """The client's class for an object."""
    return cast("type[Any]", _MODELS[written["kind"]])
