"""The DAG files: what is there, whether it parses, whether it explains itself."""

from __future__ import annotations

from pathlib import Path

import pytest

DAGS = Path(__file__).parents[2] / "dags"
TAGS = {"restore", "detection", "housekeeping"}
STORY = [
    *("open_request", "fetch_asdm", "fetch_products", "write_ppr"),
    *("run_casa", "verify", "deliver", "close_request"),
]


@pytest.fixture(scope="module")
def dag_bag(airflow_database):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(DAGS), bundle_path=DAGS, bundle_name="dags-folder")


def test_every_dag_file_parses_to_the_dag_of_its_name(dag_bag):
    assert dag_bag.import_errors == {}
    assert set(dag_bag.dags) == {path.stem for path in DAGS.glob("*.py")}
    assert {"detect_calibrations", "restore_mous"} <= set(dag_bag.dags)


def test_every_dag_explains_itself(dag_bag):
    for dag in dag_bag.dags.values():
        assert all(f"**{part}.**" in dag.doc_md for part in ("What it does", "Parameters", "When it fails", "Try it"))
        assert dag.tags
        assert set(dag.tags) <= TAGS


def test_dag_files_are_wiring():
    assert all(len(path.read_text().splitlines()) < 80 for path in DAGS.glob("*.py"))


def test_a_restore_tells_the_story_in_order(dag_bag):
    restore = dag_bag.dags["restore_mous"]
    assert [task.task_id for task in restore.topological_sort()] == STORY
    assert restore.get_task("close_request").is_teardown


def test_every_stage_is_tried_again_when_its_worker_dies(dag_bag):
    retries = {task.task_id: task.retries for task in dag_bag.dags["restore_mous"].tasks}
    assert min(retries.values()) >= 2, retries
