"""The deployment files fit together; where a validator is at hand, it is asked, too."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SECRETS = ("TOOLRM_DISC", "VLLM_API_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD")
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]
CLASSIFIES = {"--runner=pooling", "--convert=classify", "--model=/model"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_whole_and_names_no_registry_and_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        assert all(document for document in yaml.safe_load_all(text))
    if path.suffix == ".py":
        compile(text, str(path), "exec")
    assert not re.search(r"/(home|root|work|Users)/(?!vllm)", text)
    for image in re.findall(r"^\s*image: (\S+)", text, re.M):
        assert not re.match(r"[^/]*[.:][^/]*/", image), f"{image} names a registry"
        assert ":" in image or image == "my-agent", f"{image} has no version"


def test_every_file_that_is_mounted_is_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).exists(), f"{name} mounts {source}"
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"]


def test_no_port_is_open_to_the_network_and_no_password_has_a_default() -> None:
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    text = (DEPLOY / "compose.yaml").read_text()
    for name in SECRETS:
        assert re.search(rf"\$\{{{name}:\?", text)
        assert not re.search(rf"\$\{{{name}(:-|\}})", text)


def test_the_collector_sends_what_it_receives_to_services_that_are_there() -> None:
    config = yaml.safe_load((DEPLOY / "collector" / "collector.yaml").read_text())
    pipelines = config["service"]["pipelines"]
    assert set(pipelines) == {"traces", "metrics", "logs"}
    for pipeline in pipelines.values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])
        assert pipeline["processors"][0] == "memory_limiter"
    assert config["exporters"]["otlphttp/phoenix"]["endpoint"] == "http://phoenix:6006"
    port = config["exporters"]["prometheus"]["endpoint"].split(":")[1]
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    targets = [
        target
        for job in scraped["scrape_configs"]
        for group in job["static_configs"]
        for target in group["targets"]
    ]
    assert targets == [f"collector:{port}", "vllm:8000"]
    assert {"phoenix", "collector", "prometheus", "grafana", "postgres"} <= set(COMPOSE["services"])
    for name in ("vllm-gpu", "vllm-cpu"):
        assert COMPOSE["services"][name]["networks"]["default"]["aliases"] == ["vllm"]


def flags_of(service: dict[str, Any]) -> list[str]:
    return [*service.get("command", ()), *service.get("args", ())]


def test_every_vllm_serves_the_classifier_and_the_agents_ask_for_its_name() -> None:
    [stateful] = [m for m in MANIFESTS if m["kind"] == "StatefulSet"]
    [container] = stateful["spec"]["template"]["spec"]["containers"]
    for served in (*(COMPOSE["services"][n] for n in ("vllm-gpu", "vllm-cpu")), container):
        assert set(flags_of(served)) >= CLASSIFIES
    [config] = [m["data"] for m in MANIFESTS if m["kind"] == "ConfigMap"]
    assert f"--served-model-name={config['TOOLRM_GUARD_VLLM_MODEL']}" in flags_of(container)
    [service] = [m for m in MANIFESTS if m["kind"] == "Service"]
    name, replicas = stateful["metadata"]["name"], stateful["spec"]["replicas"]
    assert service["metadata"]["name"] == stateful["spec"]["serviceName"]
    assert config["TOOLRM_GUARD_VLLM_URL"].split(",") == [
        f"http://{name}-{k}.{service['metadata']['name']}:8000" for k in range(replicas)
    ]


def test_the_variables_of_the_agents_are_the_ones_that_are_read() -> None:
    from toolrm_guard.scorers import vllm

    read = {value for name, value in vars(vllm).items() if name.endswith("_VARIABLE")}
    [config] = [m["data"] for m in MANIFESTS if m["kind"] == "ConfigMap"]
    assert {name for name in config if name.startswith("TOOLRM")} <= read


def test_selectors_meet_the_labels_of_their_pods() -> None:
    [stateful] = [m for m in MANIFESTS if m["kind"] == "StatefulSet"]
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    for manifest in MANIFESTS:
        spec = manifest.get("spec", {})
        selector = spec.get("selector") or spec.get("podSelector") or {}
        assert selector.get("matchLabels", {}).items() <= labels.items()


def test_docker_compose_takes_both_profiles() -> None:
    command = shutil.which("docker-compose")
    if command is None:
        pytest.skip("needs docker-compose")
    environment = {"PATH": "/usr/bin:/bin", **dict.fromkeys(SECRETS, "/x")}
    for profile in ("gpu", "cpu"):
        done = subprocess.run(
            [command, "--file", str(DEPLOY / "compose.yaml"), "--profile", profile, "config"],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        assert f"vllm-{profile}" in done.stdout


def test_the_manifests_fit_their_schemas() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    for manifest in MANIFESTS:
        validator.validate(manifest, "1.29", strict=True)
