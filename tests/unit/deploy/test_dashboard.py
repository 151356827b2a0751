"""The dashboard and the alerts ask for what is exported, and Prometheus understands them."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import start_http_server

from tests.unit.deploy.exported import ROWS, Exporter

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "toolrm_guard.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
NEVER = {"gen_ai_tool_name"}
"""Labels that are there only when asked for."""


def queries() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def filled(expression: str) -> str:
    return re.sub(r"\$\w+", ".*", expression.replace("$__rate_interval", "5m"))


def rules() -> Iterator[str]:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    made.more()
    yield made
    made.close()


def test_every_metric_and_label_that_is_asked_for_is_exported(exporter: Exporter) -> None:
    exported = exporter.labels()
    for expression in [*(expr for _, expr in queries()), *rules()]:
        for name, matchers in re.findall(r"(toolrm_guard_\w+)(?:\{([^}]*)\})?", expression):
            if name in exported:
                labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers))
                assert labels <= exported[name], f"{name} has no {labels - exported[name]}"
            else:  # what stands in `by (...)`
                assert any(name in labels for labels in exported.values()), name


def test_what_a_query_is_grouped_by_is_a_label_of_its_metric(exporter: Exporter) -> None:
    exported = exporter.labels()
    for title, expression in queries():
        for grouped, body in re.findall(r"by \(([^)]*)\) \((?:rate|max)? ?\(?(\w+)", expression):
            if body in exported:
                wanted = {label.strip() for label in grouped.split(",")}
                assert wanted <= exported[body], f"{title}: {body} by {wanted}"


def test_every_metric_is_on_the_dashboard(exporter: Exporter) -> None:
    asked = " ".join(expression for _, expression in queries())
    for row in ROWS:
        name = row.name.replace(".", "_")
        assert re.search(rf"\b{name}(_seconds_bucket|_total)?\b", asked), f"{row.name} is not shown"


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in target["expr"], f"{panel['title']}: {label}"


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


def test_the_data_source_is_the_one_that_is_provisioned() -> None:
    [source] = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )["datasources"]
    [variable] = [v for v in DASHBOARD["templating"]["list"] if v["type"] == "datasource"]
    assert variable["current"]["value"] == source["uid"]


def test_promtool_takes_every_query_and_the_whole_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, of Debian's package prometheus")
    recorded = [
        {"record": f"q:{k}", "expr": filled(expression)}
        for k, (_, expression) in enumerate(queries())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    config = DEPLOY / "prometheus" / "prometheus.yaml"
    for command in (["check", "rules", str(path)], ["check", "config", str(config)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout


def test_in_a_real_prometheus_every_panel_shows_something(
    exporter: Exporter, tmp_path: Path
) -> None:
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("needs Debian's package prometheus")
    web, thread = start_http_server(0, addr="127.0.0.1")
    url, process = started(binary, tmp_path, scraping=web.server_port)
    try:
        empty = [title for title, _ in queries()]
        ends = time.monotonic() + 60
        while empty and time.monotonic() < ends:
            exporter.more()
            time.sleep(0.5)
            empty = [title for title, expr in queries() if not asked(url, expr)]
        assert not empty
    finally:
        process.kill()
        process.wait()
        web.shutdown()
        web.server_close()
        thread.join()


def started(binary: str, folder: Path, *, scraping: int) -> tuple[str, Any]:
    """A Prometheus that scrapes a port of loopback every half second."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "prometheus.yaml"
    job = {"job_name": "here", "static_configs": [{"targets": [f"127.0.0.1:{scraping}"]}]}
    config.write_text(
        yaml.safe_dump({"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]})
    )
    process = subprocess.Popen(
        [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return f"http://{address}", process


def asked(url: str, expression: str) -> list[Any]:
    try:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": filled(expression)})
    except httpx.TransportError:
        return []
    found = answer.json() if answer.is_success else {}
    if answer.status_code == 400:
        raise AssertionError(f"{expression}: {answer.text}")
    result: list[Any] = found.get("data", {}).get("result", [])
    return [series for series in result if series["value"][1] != "NaN"]
