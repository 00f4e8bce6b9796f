"""Each kind of object that can be wrong bears its sign, whether it was read as JSON, as a description or as a table."""

import json
from typing import Any

import pytest

from mimir_core.analysis.kubernetes import examine_objects
from mimir_core.analysis.lines import LogSpan
from mimir_core.analysis.signs import find_signs, read_signs
from mimir_core.telemetry.files import read_pasted

NO_SPAN = LogSpan(None, None)


def signs_in(text: str) -> dict[str, str]:
    """Return what is found in a pasted text: sign -> what it means."""
    signals = read_pasted(text)
    statements = [*signals.statements, *examine_objects(signals.manifests)]
    table = read_signs()
    return {e.subject: table.signs[e.subject].meaning(e.excerpt) for e in find_signs(statements, NO_SPAN, table)}


def thing(kind: str, name: str, **body: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop", **body.pop("metadata", {})}, **body}


def pod(name: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    return thing("Pod", name, metadata={"labels": labels}, spec=spec, status={"phase": "Running"})


SERVICE = thing("Service", "web", spec={"selector": {"app": "wbe"}})
INGRESS = thing("Ingress", "shop", spec={"rules": [{"http": {"paths": [{"backend": {"service": {"name": "cart"}}}]}}]})
SCALER = thing(
    "HorizontalPodAutoscaler",
    "web",
    spec={"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "wbe"}},
    status={"currentReplicas": 4},
)
HOOK = thing(
    "ValidatingWebhookConfiguration",
    "guard",
    webhooks=[{"clientConfig": {"service": {"name": "guard", "namespace": "shop"}}}],
)
NODE = thing(
    "Node",
    "wk-1",
    status={"allocatable": {"pods": "1"}, "conditions": [{"type": "Ready", "status": "Unknown", "message": "no news"}]},
)
MOUNTING = pod("web-0", {"app": "web"}, volumes=[{"configMap": {"name": "settings"}}], nodeName="wk-1")


@pytest.mark.parametrize(
    ("objects", "sign", "fact"),
    [
        ([SERVICE, pod("web-0", {"app": "web"})], "ServiceWithoutEndpoints", "app=wbe matches no pod (Pod web-0 has app=web)"),
        ([thing("Endpoints", "web", subsets=[])], "ServiceWithoutEndpoints", ""),
        ([INGRESS, SERVICE], "IngressBroken", 'service "cart", which does not exist'),
        ([thing("Deployment", "web", spec={"replicas": 3}, status={"readyReplicas": 1})], "ReplicasMissing", ""),
        ([thing("Deployment", "web", spec={"replicas": 0}, status={})], "ScaledToZero", ""),
        ([thing("StatefulSet", "db", spec={"replicas": 2}, status={"replicas": 2})], "ReplicasMissing", ""),
        ([thing("DaemonSet", "agent", status={"desiredNumberScheduled": 3, "numberReady": 2})], "ReplicasMissing", ""),
        ([SCALER, thing("Deployment", "web")], "AutoscalerBlind", 'scales Deployment "wbe", which does not exist'),
        ([SCALER], "AutoscalerAtLimit", "at its maximum of 4 replicas"),
        ([thing("PersistentVolumeClaim", "data", status={"phase": "Pending"})], "VolumeClaimUnbound", ""),
        ([thing("Job", "import", status={"failed": 5})], "BackoffLimitExceeded", ""),
        ([thing("CronJob", "report", spec={"suspend": True, "schedule": "0 3 * * *"})], "ScheduleStopped", "is suspended"),
        ([thing("CronJob", "report", spec={"schedule": "0 3 * *"})], "ScheduleStopped", 'the schedule "0 3 * *"'),
        ([NODE], "NodeNotReady", ""),
        ([NODE, MOUNTING], "NodeFullOfPods", "runs 1 pods of at most 1"),
        ([HOOK, SERVICE], "WebhookFailing", 'service "guard", which does not exist'),
        (
            [thing("PodDisruptionBudget", "web", status={"disruptionsAllowed": 0, "expectedPods": 2})],
            "EvictionBlocked",
            "",
        ),
        (
            [thing("NetworkPolicy", "deny", spec={"podSelector": {}, "policyTypes": ["Ingress"]})],
            "PolicyBlocks",
            "lets nothing in",
        ),
        ([MOUNTING, thing("ConfigMap", "other", data={"a": "b"})], "MissingConfig", 'ConfigMap "settings", which does not exist'),
        ([thing("ConfigMap", "empty")], "SelectorMatchesNothing", ""),
        (
            [thing("InstallPlan", "p", status={"phase": "Failed", "message": "no CRD"})],
            "OperatorFailed",
            "is in state Failed: no CRD",
        ),
        (
            [thing("CatalogSource", "c", status={"connectionState": {"lastObservedState": "TRANSIENT_FAILURE"}})],
            "OperatorFailed",
            "TRANSIENT_FAILURE",
        ),
        ([thing("OperatorGroup", "a"), thing("OperatorGroup", "b")], "OperatorFailed", ""),
        (
            [pod("web-0", {}, containers=[{"name": "app", "securityContext": {"privileged": True}}])],
            "RunsPrivileged",
            "",
        ),
        (
            [
                thing("PersistentVolumeClaim", "d", spec={"storageClassName": "fast"}, status={}),
                thing("StorageClass", "slow", metadata={"namespace": ""}),
            ],
            "VolumeClaimUnbound",
            'storage class "fast", which does not exist',
        ),
        (
            [
                thing(
                    "HTTPRoute",
                    "r",
                    status={"parents": [{"conditions": [{"type": "Accepted", "status": "False", "message": "x"}]}]},
                )
            ],
            "RouteRefused",
            "Accepted False: x",
        ),
    ],
)
def test_objects_that_do_not_fit_bear_their_sign(objects: list[dict[str, Any]], sign: str, fact: str) -> None:
    found = signs_in(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    assert sign in found
    assert fact in found[sign]


def test_objects_that_fit_bear_none() -> None:
    service = thing("Service", "web", spec={"selector": {"app": "web"}})
    deployment = thing("Deployment", "web", spec={"replicas": 1}, status={"readyReplicas": 1})
    assert not signs_in(json.dumps([service, deployment, pod("web-0", {"app": "web"})]))


def test_what_was_not_asked_for_is_not_missing() -> None:
    assert not signs_in(json.dumps([INGRESS]))
    assert not signs_in(json.dumps([SERVICE]))


def test_yaml_is_read_as_json_is() -> None:
    text = "apiVersion: batch/v1\nkind: CronJob\nmetadata:\n  name: report\nspec:\n  suspend: true\n  schedule: '0 3 * * *'\n"
    assert "ScheduleStopped" in signs_in(text)


def test_yaml_aliases_are_not_expanded() -> None:
    bomb = "apiVersion: v1\nkind: ConfigMap\na: &a [x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert not read_pasted(bomb).manifests


DESCRIBED = {
    "ServiceWithoutEndpoints": "Name: web\nNamespace: shop\nLabels: <none>\nSelector: app=wbe\nEndpoints: <none>\n",
    "NodeFullOfPods": "Name: wk-1\nRoles: <none>\nAllocatable:\n  cpu:   4\n  pods:  2\nNon-terminated Pods:  (2 in total)\n",
    "QuotaExceeded": "Name: compute\nNamespace: shop\nResource  Used  Hard\n--------  ---  ---\npods      10    10\n",
    "AutoscalerBlind": (
        "Name: web\nNamespace: shop\nLabels: <none>\nConditions:\n  Type  Status  Reason  Message\n"
        "  ScalingActive   False   FailedGetResourceMetric  the HPA was unable to compute the replica count\n"
    ),
    "IngressBroken": (
        "Name: shop\nNamespace: shop\nLabels: <none>\nRules:\n  Host  Path  Backends\n"
        '  a.b  /  cart:80 (<error: endpoints "cart" not found>)\n'
    ),
    "OutOfSync": "Name: argocd/shop\nProject: default\nNamespace: shop\nSync Status: OutOfSync from HEAD (1a2b3c4)\n",
    "SpecialHardware": (
        "Name: train-0\nNamespace: ml\nLabels: <none>\nContainers:\n  train:\n    Requests:\n"
        "      cpu:  2\n      nvidia.com/gpu:  4\n"
    ),
}


@pytest.mark.parametrize("sign", DESCRIBED)
def test_descriptions_bear_signs(sign: str) -> None:
    assert sign in signs_in(DESCRIBED[sign])


TABLES = {
    "VolumeClaimUnbound": (
        "NAME   STATUS    VOLUME   CAPACITY   ACCESS MODES   STORAGECLASS   AGE\n"
        "data   Pending                                      fast           5m\n"
    ),
    "AutoscalerBlind": "NAME   REFERENCE        TARGETS         MINPODS\nweb    Deployment/web   <unknown>/80%   2\n",
    "NodeNotReady": "NAME   STATUS     ROLES    AGE   VERSION\nwk-1   NotReady   <none>   9d    v1.31.2\n",
    "ServiceWithoutEndpoints": "NAME   ENDPOINTS   AGE\nweb    <none>      9d\n",
    "CertificateInvalid": "NAME      READY   SECRET    AGE\nweb-tls   False   web-tls   9d\n",
    "NotReady": "NAME    READY   STATUS    RESTARTS   AGE\nweb-0   0/1     Running   0          9m\n",
    "PodPending": "NAME    READY   STATUS    RESTARTS   AGE\nweb-0   0/1     Pending   0          9m\n",
}


@pytest.mark.parametrize("sign", TABLES)
def test_rows_bear_signs(sign: str) -> None:
    assert sign in signs_in(TABLES[sign])
