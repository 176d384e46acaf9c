"""The view "Runs": what it finds, and trainings that it starts, stops and resumes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import caelab


def states(client: Any) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in client.get("/runs/states").json()}


def test_it_finds_every_run(client: Any, app_runs: Path) -> None:
    found = states(client)
    assert sorted(run["state"] for run in found.values()) == ["damaged"] + ["finished"] * 6
    (inner,) = [name for name in found if name.startswith("lab/")]
    for name, run in found.items():
        page = client.get(f"/runs/show/{name}")
        assert page.status_code == 200
        assert ("damaged" in page.text) == (run["state"] == "damaged")
        reconstructs = run["state"] == "finished" and not name.startswith("conv4-conv")
        assert ("/code?model=" in page.text) == reconstructs
    assert found[inner]["test_mse"] == pytest.approx(caelab.Run(app_runs / inner).test["mse"])
    assert client.get(f"/runs/figure/samples/{inner}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "show/..%2Fsecret.txt", "show/%2Fetc%2Fpasswd", "show/nothing", "figure/samples/..%2F..",
        "figure/weights/damaged", "reports/..%2F..", "started/..%2Fdamaged", "report/unknown",
    ],
)  # fmt: skip
def test_nothing_outside_the_folder_is_shown(client: Any, path: str) -> None:
    answer = client.get(f"/runs/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


def test_a_link_does_not_lead_out(client: Any, app_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (app_runs / "link").symlink_to(tmp_path, target_is_directory=True)
    try:
        assert "link" not in states(client)
    finally:
        (app_runs / "link").unlink()


def test_runs_are_compared_in_pairs(client: Any) -> None:
    names = [name for name, run in states(client).items() if run["state"] == "finished"]
    page = client.get("/runs/compare", params={"run": names[:2]})
    assert page.status_code == 200
    for wrong in (names[:1], ["damaged", names[0]], []):
        assert client.get("/runs/compare", params={"run": wrong}).status_code == 400


def test_a_report_is_served_alone(client: Any, finished: Callable[[str], Any]) -> None:
    (name, *_) = [name for name, run in states(client).items() if run["state"] == "finished"]
    sent = client.post("/runs/report", data={"run": name}, follow_redirects=False)
    url = sent.headers["location"]
    assert finished(url)["state"] == "done"
    page = client.get(url)
    assert "sandbox" in page.headers["content-security-policy"]
    assert name.split("/")[-1][:10] in page.text


@pytest.mark.parametrize(
    "fields",
    [
        {"network": "conv4 pool conv"},
        {"network": "reference", "epochs": "0"},
        {"network": "reference", "learning_rate": "fast"},
        {"network": "reference", "seeds": "1000"},
        {"network": "--help\nreference", "epochs": "1"},
    ],
)
def test_a_wrong_form_starts_nothing(client: Any, app_runs: Path, fields: dict[str, str]) -> None:
    before = {path.name for path in app_runs.rglob("*")}
    assert client.post("/runs", data=fields).status_code == 400
    assert {path.name for path in app_runs.rglob("*")} == before


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError


def test_a_training_is_started_watched_stopped_and_resumed(client: Any, pictures: Path) -> None:
    fields = {
        "network": "conv2 | conv3", "data": str(pictures), "epochs": "3000", "batch_size": "32",
    }  # fmt: skip
    url = client.post("/runs", data=fields, follow_redirects=False).headers["location"]
    name = url.rpartition("/")[2]
    wait_for(lambda: states(client).get(name, {}).get("epochs", 0) > 2)
    live = client.get(f"/runs/state/{name}").json()
    assert live["state"] == "running"
    assert "<svg" in live["plot"]
    assert client.post(f"{url}/resume").status_code == 400  # it runs
    assert client.post(f"{url}/stop").status_code == 200
    wait_for(lambda: states(client)[name]["state"] == "interrupted")
    done = states(client)[name]["epochs"]
    wait_for(lambda: client.post(f"{url}/stop").status_code == 400)  # it does not run
    assert client.post(f"{url}/resume").status_code == 200
    wait_for(lambda: states(client)[name]["epochs"] > done)
    client.post(f"{url}/stop")
    wait_for(lambda: states(client)[name]["state"] == "interrupted")
