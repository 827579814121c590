"""Every alert fires when it should and not before, as Prometheus' own promtool judges it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
MONITORING = CHECKOUT / "docker" / "monitoring"
RULES = MONITORING / "alerts.yml"
PROMTOOL = shutil.which("promtool")
NAMES = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]

RUN_CASA = '{state="running",stage="run_casa"}'

HEALTHY = {
    'up{job="alma-restore"}': "1",
    'alma_restore_airflow_healthy{part="scheduler"}': "1",
    "alma_restore_last_detection_timestamp_seconds": "0x287 86400",
    "alma_restore_newest_calibration_timestamp_seconds": "0",
    'alma_restore_ended_last_day{state="failed",reason=""}': "0",
    'alma_restore_ended_last_day{state="failed",reason="not_available"}': "2",
    'alma_restore_ended_last_day{state="delivered",reason=""}': "3",
    'alma_restore_ended_last_day{state="refused",reason="manual_calibration"}': "9",
    "alma_restore_queue_age_seconds": "86400",
    f"alma_restore_active{RUN_CASA}": "2",
    'alma_restore_task_queue_age_seconds{queue="casa"}': "172800",
    'alma_restore_tasks_running{queue="casa"}': "2",
    'alma_restore_task_queue_age_seconds{queue="archive"}': "0",
    'alma_restore_tasks_running{queue="archive"}': "0",
    f"alma_restore_quiet_seconds{RUN_CASA}": "172800",
    'alma_restore_quiet_seconds{state="running",stage="deliver"}': "36000",
    'alma_restore_disk_free_bytes{root="/spool"}': "60",
    'alma_restore_disk_reserved_bytes{root="/spool"}': "50",
    'alma_restore_disk_size_bytes{root="/spool"}': "100",
    'alma_restore_retries_last_day{stage="fetch_asdm"}': "3",
}
"""A sample every five minutes, the last one to the end. Restores, and tasks of the queue `casa`, wait for a day and
longer while CASA works on others for two.
"""

FIRES = {
    # alert: what is otherwise than in a healthy system, when it does not fire yet, when it does
    "MetricsGone": ({'up{job="alma-restore"}': "1x9 0"}, "55m", "61m"),
    "AirflowPartDown": ({'alma_restore_airflow_healthy{part="scheduler"}': "1x9 0"}, "55m", "61m"),
    "NoDetection": ({"alma_restore_last_detection_timestamp_seconds": "0"}, "30h", "30h15m"),
    "NeverDetected": ({"alma_restore_last_detection_timestamp_seconds": "_"}, "29h55m", "30h1m"),
    "NothingNew": ({"alma_restore_newest_calibration_timestamp_seconds": "-1123200"}, "25h", "25h10m"),
    "ManyFailures": ({'alma_restore_ended_last_day{state="failed",reason="casa_failed"}': "0x9 1"}, "55m", "66m"),
    "Misconfigured": (
        {'alma_restore_ended_last_day{state="failed",reason="misconfigured"}': "0x9 1"},
        "45m",
        "51m",
    ),
    "DamagedData": ({'alma_restore_ended_last_day{state="failed",reason="corrupt"}': "0x9 1"}, "45m", "51m"),
    "NothingStarts": ({f"alma_restore_active{RUN_CASA}": "2x9 0"}, "55m", "61m"),
    # Airflow queues it anew while it waits; others run, but in another queue.
    "NoWorker": ({'alma_restore_task_queue_age_seconds{queue="archive"}': "0 10 310 10 310 10 310 10"}, "29m", "31m"),
    "RequestStuck": (
        {'alma_restore_quiet_seconds{state="running",stage="deliver"}': "0+300"},
        "12h",
        "12h6m",
    ),
    "CasaStuck": ({f"alma_restore_quiet_seconds{RUN_CASA}": "0+300"}, "54h", "54h6m"),
    "WaitsForDisk": ({'alma_restore_active{state="running",stage="prepare_workspace"}': "1"}, "11h55m", "12h1m"),
    "DiskFull": ({'alma_restore_disk_free_bytes{root="/spool"}': "60x9 4"}, "60m", "66m"),
    "DiskPromised": ({'alma_restore_disk_free_bytes{root="/spool"}': "60x9 40"}, "60m", "66m"),
    "ManyRetries": ({'alma_restore_retries_last_day{stage="fetch_asdm"}': "3x9 30"}, "60m", "66m"),
}


def test_every_alert_is_told_and_proven():
    assert set(FIRES) == set(NAMES)
    operations = (CHECKOUT / "docs" / "operations.md").read_text()
    assert re.findall(r"^\| `(\w+)` \| (?:page|ticket) ", operations, re.MULTILINE) == NAMES


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_each_alert_fires_when_it_should_and_not_before(tmp_path):
    tests = [proof("a healthy system", HEALTHY, {name: {"47h": False} for name in NAMES})]
    for name, (otherwise, quiet, firing) in FIRES.items():
        tests.append(proof(name, HEALTHY | otherwise, {name: {quiet: False, firing: True}}))
    file = tmp_path / "alerts_test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": tests}))
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def proof(name, series, expected):
    """One of promtool's tests: which alerts are firing at which time."""
    return {
        "name": name,
        "interval": "5m",
        "input_series": [{"series": each, "values": f"{values}x700"} for each, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
            for alert, times in expected.items()
            for at, fires in times.items()
        ],
    }


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_accepts_its_configuration(tmp_path):
    shutil.copytree(MONITORING, tmp_path / "monitoring")
    config = tmp_path / "monitoring" / "prometheus.yml"
    token = tmp_path / "token"
    token.write_text("x" * 32)
    config.write_text(config.read_text().replace("/run/secrets/metrics_token", str(token)))
    done = subprocess.run([PROMTOOL, "check", "config", str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
