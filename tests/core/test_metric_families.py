"""A metric's name, as Prometheus, CloudWatch, OpenTelemetry and Datadog write it, tells its family."""

import pytest

from mimir_core.analysis.signs import read_signs
from mimir_core.records import Direction

PROMETHEUS = {
    "http_requests_total": "traffic",
    "http_request_duration_seconds_p95": "latency",
    "istio_request_duration_milliseconds": "latency",
    "container_cpu_usage_seconds_total": "cpu",
    "container_cpu_cfs_throttled_periods_total": "cpu",
    "container_memory_working_set_bytes": "memory",
    "go_memstats_heap_inuse_bytes": "memory",
    "container_network_receive_bytes_total": "volume",
    "container_network_transmit_packets_dropped_total": "network",
    "container_network_receive_errors_total": "network",
    "node_netstat_Tcp_RetransSegs": "network",
    "node_memory_MemAvailable_bytes": "free_memory",
    "node_filesystem_avail_bytes": "free_storage",
    "node_disk_io_time_seconds_total": "disk",
    "kubelet_volume_stats_used_bytes": "disk",
    "kube_pod_container_status_restarts_total": "restarts",
    "kube_deployment_status_replicas_available": "replicas",
    "kube_pod_status_ready": "replicas",
    "up": "availability",
    "hikaricp_connections_active": "connections",
    "pg_locks_count": "locks",
    "pg_replication_lag_seconds": "replication",
    "mysql_global_status_queries": "traffic",
    "redis_evicted_keys_total": "evicted",
    "redis_keyspace_hits_total": "traffic",
    "rabbitmq_queue_messages_ready": "queue",
    "rabbitmq_queue_consumers": "consumers",
    "kafka_consumergroup_lag": "queue",
    "coredns_dns_request_duration_seconds": "dns",
}
CLOUDWATCH = {
    "RequestCount": "traffic",
    "Invocations": "traffic",
    "TargetResponseTime": "latency",
    "Duration": "latency",
    "ReadLatency": "latency",
    "5XXError": "errors",
    "Errors": "errors",
    "CPUUtilization": "cpu",
    "CPUCreditBalance": "credits",
    "BurstBalance": "credits",
    "FreeableMemory": "free_memory",
    "FreeStorageSpace": "free_storage",
    "DatabaseConnections": "connections",
    "ReadIOPS": "read_load",
    "WriteIOPS": "write_load",
    "ReplicaLag": "replication",
    "Deadlocks": "locks",
    "SwapUsage": "swap",
    "NetworkIn": "volume",
    "HealthyHostCount": "replicas",
    "RunningTaskCount": "replicas",
    "ConcurrentExecutions": "concurrency",
    "ApproximateNumberOfMessagesVisible": "queue",
    "ApproximateAgeOfOldestMessage": "queue",
    "CacheHitRate": "hit_ratio",
    "Evictions": "evicted",
}
OPEN_TELEMETRY = {
    "http.server.request.duration": "latency",
    "db.client.operation.duration": "latency",
    "db.client.connection.count": "connections",
    "process.cpu.utilization": "cpu",
    "system.cpu.load_average.1m": "cpu",
    "process.memory.usage": "memory",
    "jvm.memory.used": "memory",
    "system.filesystem.utilization": "disk",
    "system.network.dropped": "network",
    "k8s.container.restarts": "restarts",
    "k8s.deployment.available_pods": "replicas",
}
DATADOG = {
    "trace.http.request.hits": "traffic",
    "trace.http.request.errors": "errors",
    "trace.http.request.duration": "latency",
    "aws.applicationelb.httpcode_target_5xx": "errors",
    "system.cpu.user": "cpu",
    "system.cpu.iowait": "iowait",
    "system.mem.used": "memory",
    "docker.mem.rss": "memory",
    "system.mem.free": "free_memory",
    "system.disk.in_use": "disk",
    "system.disk.free": "free_storage",
    "system.io.util": "disk",
    "system.net.bytes_rcvd": "volume",
    "system.swap.used": "swap",
    "kubernetes.containers.restarts": "restarts",
    "kubernetes.pods.running": "replicas",
    "postgresql.connections": "connections",
    "postgresql.deadlocks": "locks",
    "redis.keys.evicted": "evicted",
    "rabbitmq.queue.messages": "queue",
    "kafka.consumer_lag": "queue",
}
OF_ONES_OWN = {
    "http_inflight_requests": "concurrency",
    "threads_busy": "concurrency",
    "seconds_since_last_success": "freshness",
    "rows_processed": "work",
    "jobs_completed_total": "work",
    "cache_hit_ratio": "hit_ratio",
    "request_timeouts": "errors",
    "worker_panics_total": "restarts",
    "lat_avg": "latency",
    "conns_open": "connections",
    "ready": "replicas",
    "availability_percent": "availability",
    "gpu_utilization": "gpu",
    "quota_used": "quota",
    "weather": None,
}


@pytest.mark.parametrize(("metric", "family"), [*PROMETHEUS.items(), *CLOUDWATCH.items()])
def test_a_name_of_prometheus_or_cloudwatch_tells_the_family(metric: str, family: str) -> None:
    assert read_signs().family_name(metric) == family


@pytest.mark.parametrize(("metric", "family"), [*OPEN_TELEMETRY.items(), *DATADOG.items()])
def test_a_name_of_opentelemetry_or_datadog_tells_the_family(metric: str, family: str) -> None:
    assert read_signs().family_name(metric) == family


@pytest.mark.parametrize(("metric", "family"), OF_ONES_OWN.items())
def test_a_name_of_ones_own_tells_the_family_by_the_fields_words(metric: str, family: str | None) -> None:
    assert read_signs().family_name(metric) == family


def test_every_family_has_a_name_that_no_family_before_it_takes() -> None:
    names = PROMETHEUS | CLOUDWATCH | OPEN_TELEMETRY | DATADOG | OF_ONES_OWN
    assert {read_signs().family_name(metric) for metric in names} == {*read_signs().metrics, None}


@pytest.mark.parametrize("metric", ["replicas_ready", "free_disk_bytes", "consumers", "cache_hit_ratio", "rows_processed"])
def test_what_is_missed_when_it_is_gone_is_bad_when_it_falls(metric: str) -> None:
    family = read_signs().family_of(metric)
    assert family is not None
    assert family.bad is Direction.DOWN
