"""Kubernetes objects held against each other -> statements about what does not fit.

Comes in: manifests as the API gives them. Goes out: statements for the signs of ``sign_table``: a Service that selects no
pod, an Ingress without its backend, an autoscaler that cannot read its metrics, a webhook that nobody answers. Surprise: an
object counts as missing only when objects of its kind were read in that namespace; what was not asked for is not missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mimir_core.telemetry.signals import Manifest, Statement, workload_of

_WORKLOADS = ("Deployment", "StatefulSet", "ReplicaSet", "DaemonSet")


class Finding(NamedTuple):
    """What is wrong with one object."""

    manifest: Manifest
    text: str
    is_broken: bool = True
    """Whether it does not work; else it works and is worth a look."""


class _Cluster:
    """The objects that were read, by kind."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.manifests = manifests

    def of(self, *kinds: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest.kind in kinds]

    def lacks(self, kind: str, name: str, namespace: str) -> bool:
        """Whether objects of this kind were read in the namespace, and this one is not among them."""
        there = {manifest.name for manifest in self.of(kind) if manifest.namespace == namespace}
        return bool(there) and name not in there


def examine_objects(manifests: Sequence[Manifest]) -> Iterator[Statement]:
    """Yield a statement for each thing that does not fit."""
    cluster = _Cluster(manifests)
    for analyzer in (
        _services, _ingresses, _workloads, _autoscalers, _claims, _jobs, _cron_jobs, _nodes, _webhooks, _budgets, _policies,
        _config_maps, _pods, _routes, _operators, _privileges,
    ):  # fmt: skip
        for manifest, text, is_broken in analyzer(cluster):
            component = manifest.name if manifest.kind == "Node" else workload_of(manifest.name)
            yield Statement(
                source="kubernetes",
                component=component,
                text=f"{manifest.kind} {manifest.name}: {text}",
                origin=manifest.origin,
                query=manifest.query,
                namespace=manifest.namespace,
                state="bad" if is_broken else "untold",
            )


def _services(cluster: _Cluster) -> Iterator[Finding]:
    pods = cluster.of("Pod", *_WORKLOADS)
    for service in cluster.of("Service"):
        selector = _texts(service.at("spec", "selector"))
        candidates = [pod for pod in pods if pod.namespace == service.namespace]
        if selector and candidates and not any(_selects(selector, _labels(pod)) for pod in candidates):
            near = _nearest(selector, candidates)
            yield Finding(service, f"has no endpoints: its selector {_pairs(selector)} matches no pod{near}")
    for endpoints in cluster.of("Endpoints"):
        if not endpoints.at("subsets"):
            yield Finding(endpoints, "has no endpoints")
    for endpoints in cluster.of("EndpointSlice"):
        if not endpoints.at("endpoints"):
            yield Finding(endpoints, "has no endpoints")


def _ingresses(cluster: _Cluster) -> Iterator[Finding]:
    for ingress in cluster.of("Ingress"):
        for rule in _list(ingress.at("spec", "rules")):
            for path in _list(_at(rule, "http", "paths")):
                backend = _at(path, "backend", "service", "name")
                if isinstance(backend, str) and cluster.lacks("Service", backend, ingress.namespace):
                    yield Finding(ingress, f'sends to service "{backend}", which does not exist')
        for tls in _list(ingress.at("spec", "tls")):
            secret = _at(tls, "secretName")
            if isinstance(secret, str) and cluster.lacks("Secret", secret, ingress.namespace):
                yield Finding(ingress, f'wants the TLS secret "{secret}", which does not exist')


def _workloads(cluster: _Cluster) -> Iterator[Finding]:
    for workload in cluster.of("Deployment", "StatefulSet", "ReplicaSet"):
        wanted, ready = workload.at("spec", "replicas"), workload.at("status", "readyReplicas") or 0
        if isinstance(wanted, int) and workload.at("status") and ready < wanted:
            yield Finding(workload, f"has {ready} of {wanted} replicas ready")
        if wanted == 0 and workload.kind != "ReplicaSet":
            yield Finding(workload, "is scaled to 0 replicas")
        service = workload.at("spec", "serviceName")
        if workload.kind == "StatefulSet" and isinstance(service, str) and cluster.lacks("Service", service, workload.namespace):
            yield Finding(workload, f'needs the service "{service}", which does not exist')
    for daemons in cluster.of("DaemonSet"):
        wanted, ready = daemons.at("status", "desiredNumberScheduled"), daemons.at("status", "numberReady")
        if isinstance(wanted, int) and isinstance(ready, int) and ready < wanted:
            yield Finding(daemons, f"has {ready} of {wanted} pods ready")


def _autoscalers(cluster: _Cluster) -> Iterator[Finding]:
    for scaler in cluster.of("HorizontalPodAutoscaler"):
        kind, name = scaler.at("spec", "scaleTargetRef", "kind"), scaler.at("spec", "scaleTargetRef", "name")
        if isinstance(kind, str) and isinstance(name, str) and cluster.lacks(kind, name, scaler.namespace):
            yield Finding(scaler, f'scales {kind} "{name}", which does not exist')
        most, now = scaler.at("spec", "maxReplicas"), scaler.at("status", "currentReplicas")
        if isinstance(most, int) and isinstance(now, int) and now >= most:
            yield Finding(scaler, f"is at its maximum of {most} replicas")
        for condition in _list(scaler.at("status", "conditions")):
            if _at(condition, "type") in ("ScalingActive", "AbleToScale") and _at(condition, "status") == "False":
                yield Finding(scaler, f"cannot scale: {_at(condition, 'reason')}: {_at(condition, 'message')}")


def _claims(cluster: _Cluster) -> Iterator[Finding]:
    for claim in cluster.of("PersistentVolumeClaim", "PersistentVolume"):
        phase = claim.at("status", "phase")
        if phase in ("Pending", "Lost", "Failed", "Released"):
            yield Finding(claim, f"is {phase}")
        storage_class = claim.at("spec", "storageClassName")
        if isinstance(storage_class, str) and storage_class and cluster.lacks("StorageClass", storage_class, ""):
            yield Finding(claim, f'wants the storage class "{storage_class}", which does not exist')


def _jobs(cluster: _Cluster) -> Iterator[Finding]:
    for job in cluster.of("Job"):
        if job.at("spec", "suspend") is True:
            yield Finding(job, "is suspended")
        if failed := job.at("status", "failed"):
            yield Finding(job, f"failed {failed} times")


def _cron_jobs(cluster: _Cluster) -> Iterator[Finding]:
    for job in cluster.of("CronJob"):
        if job.at("spec", "suspend") is True:
            yield Finding(job, "is suspended")
        schedule = job.at("spec", "schedule")
        if isinstance(schedule, str) and len(schedule.split()) != 5 and not schedule.startswith("@"):
            yield Finding(job, f'has the schedule "{schedule}", which is no cron expression')


def _nodes(cluster: _Cluster) -> Iterator[Finding]:
    pods = cluster.of("Pod")
    for node in cluster.of("Node"):
        for condition in _list(node.at("status", "conditions")):
            is_ready = _at(condition, "type") == "Ready"
            if _at(condition, "status") != ("True" if is_ready else "False"):
                yield Finding(node, f"condition {_at(condition, 'type')} {_at(condition, 'status')}: {_at(condition, 'message')}")
        most, running = node.at("status", "allocatable", "pods"), sum(pod.at("spec", "nodeName") == node.name for pod in pods)
        if str(most).isdigit() and running >= int(str(most)):
            yield Finding(node, f"runs {running} pods of at most {most}")
        if node.at("spec", "unschedulable") is True:
            yield Finding(node, "is cordoned: it takes no new pods")


def _webhooks(cluster: _Cluster) -> Iterator[Finding]:
    for configuration in cluster.of("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        for webhook in _list(configuration.at("webhooks")):
            name, namespace = (
                _at(webhook, "clientConfig", "service", "name"),
                _at(webhook, "clientConfig", "service", "namespace"),
            )
            if isinstance(name, str) and cluster.lacks("Service", name, str(namespace or "")):
                yield Finding(configuration, f'its webhook calls the service "{name}", which does not exist')


def _budgets(cluster: _Cluster) -> Iterator[Finding]:
    for budget in cluster.of("PodDisruptionBudget"):
        if budget.at("status", "disruptionsAllowed") == 0 and budget.at("status", "expectedPods"):
            yield Finding(budget, "allows no disruption: nodes cannot be drained")


def _policies(cluster: _Cluster) -> Iterator[Finding]:
    for policy in cluster.of("NetworkPolicy"):
        selector = _texts(policy.at("spec", "podSelector", "matchLabels"))
        pods = [pod for pod in cluster.of("Pod") if pod.namespace == policy.namespace]
        if selector and pods and not any(_selects(selector, _labels(pod)) for pod in pods):
            yield Finding(policy, f"its selector {_pairs(selector)} matches no pod")
        if "Ingress" in _list(policy.at("spec", "policyTypes")) and not policy.at("spec", "ingress"):
            yield Finding(policy, f"lets nothing in to {_pairs(selector) or 'every pod of its namespace'}")


def _config_maps(cluster: _Cluster) -> Iterator[Finding]:
    for config_map in cluster.of("ConfigMap"):
        if not config_map.at("data") and not config_map.at("binaryData"):
            yield Finding(config_map, "is empty")


def _pods(cluster: _Cluster) -> Iterator[Finding]:
    for pod in cluster.of("Pod", *_WORKLOADS):
        spec = pod.at("spec") if pod.kind == "Pod" else pod.at("spec", "template", "spec")
        for volume in _list(_at(spec, "volumes")):
            for kind, key, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
                wanted = _at(volume, key, name)
                is_needed = _at(volume, key, "optional") is not True
                if isinstance(wanted, str) and is_needed and cluster.lacks(kind, wanted, pod.namespace):
                    yield Finding(pod, f'mounts the {kind} "{wanted}", which does not exist')


def _routes(cluster: _Cluster) -> Iterator[Finding]:
    for route in cluster.of("HTTPRoute", "Gateway", "GatewayClass"):
        parents = _list(route.at("status", "parents"))
        for status in (*parents, route.at("status")):
            for condition in _list(_at(status, "conditions")):
                if _at(condition, "status") == "False":
                    yield Finding(route, f"condition {_at(condition, 'type')} False: {_at(condition, 'message')}")


def _operators(cluster: _Cluster) -> Iterator[Finding]:
    """Objects of the Operator Lifecycle Manager."""
    kinds = ("CatalogSource", "ClusterCatalog", "ClusterExtension", "ClusterServiceVersion", "InstallPlan", "Subscription")
    for operator in cluster.of(*kinds):
        said = (operator.at("status", "phase"), operator.at("status", "connectionState", "lastObservedState"))
        for state in said:
            if state in ("Failed", "TRANSIENT_FAILURE", "CONNECTING"):
                yield Finding(operator, f"is in state {state}: {operator.at('status', 'message') or 'no message'}")
        for condition in _list(operator.at("status", "conditions")):
            kind, status = str(_at(condition, "type")), str(_at(condition, "status"))
            if status == ("True" if kind.endswith(("Unhealthy", "Failed", "Missing")) else "False"):
                yield Finding(operator, f"condition {kind} {status}: {_at(condition, 'message')}")
    groups = cluster.of("OperatorGroup")
    for group in groups:
        if sum(other.namespace == group.namespace for other in groups) > 1:
            yield Finding(group, "is not the only OperatorGroup of its namespace: no operator is installed there")


def _privileges(cluster: _Cluster) -> Iterator[Finding]:
    for pod in cluster.of("Pod"):
        for container in _list(pod.at("spec", "containers")):
            if _at(container, "securityContext", "privileged") is True:
                yield Finding(pod, f"container {_at(container, 'name')} runs privileged", is_broken=False)


def _labels(manifest: Manifest) -> dict[str, str]:
    path = ("metadata", "labels") if manifest.kind == "Pod" else ("spec", "template", "metadata", "labels")
    return _texts(manifest.at(*path))


def _selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def _nearest(selector: Mapping[str, str], pods: Sequence[Manifest]) -> str:
    """The labels of the pod that agrees with the selector in all keys, where there is one: the value is what is wrong."""
    for pod in pods:
        labels = _labels(pod)
        if selector.keys() <= labels.keys():
            return f" ({pod.kind} {pod.name} has {_pairs({key: labels[key] for key in selector})})"
    return ""


def _pairs(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _texts(node: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in node.items()} if isinstance(node, Mapping) else {}


def _list(node: Any) -> list[Any]:
    return node if isinstance(node, list) else []


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
