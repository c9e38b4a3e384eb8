"""docker-compose.yml, and the small programs in deploy/compose. `make test-compose` tests the containers themselves."""

from __future__ import annotations

import importlib.util
import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from demo import photos
from deploy.compose import bucket, env, healthy, passwords
from imagefeatures import storage
from imagefeatures.cost import Prices
from imagefeatures.dataset_files import load_dataset
from imagefeatures.errors import InputError
from imagefeatures.settings import REPOSITORY, Retention, Settings
from support.photos import jpeg

FILE = REPOSITORY / "docker-compose.yml"
TEXT = FILE.read_text(encoding="utf-8")
COMPOSE: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("${IMAGE:-")}
EXPLAINED = dict(re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", env.EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(:?[-?][^}]*)?\}")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    env.write(tmp_path / ".env")
    return tmp_path / ".env"


def test_the_env_file_has_fresh_secrets_and_is_private(written: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    variables = env.read(written)
    assert all(variables.values())
    secrets = [variables[name] for name in env.names_of_secrets()]
    assert len(set(secrets)) == len(secrets) >= 9
    assert min(map(len, secrets)) >= 40
    env.write(tmp_path / "another")
    assert not set(secrets) & set(env.read(tmp_path / "another").values())


def test_an_env_file_that_is_there_is_left_alone(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(FileExistsError):
        env.write(written)
    assert written.read_bytes() == before


def test_what_a_newer_version_needs_is_added_and_the_rest_stays(written: Path, tmp_path: Path) -> None:
    lines = written.read_text().splitlines()
    old = tmp_path / "old"
    old.write_text("\n".join(line for line in lines if not line.startswith("OBJECT_STORE_R")) + "\nMINE=1\n")
    before = old.read_text()
    added = env.add_missing(old)
    assert added == [name for name in env.read(env.EXAMPLE) if name.startswith("OBJECT_STORE_R")]
    assert old.read_text().startswith(before)
    assert stat.S_IMODE(old.stat().st_mode) == 0o600
    variables = env.read(old)
    assert variables.keys() == env.read(written).keys() | {"MINE"}
    assert len(variables["OBJECT_STORE_ROOT_PASSWORD"]) == 40
    assert env.add_missing(old) == []


def test_airflow_takes_the_fernet_key(written: Path) -> None:
    from cryptography.fernet import Fernet

    assert Fernet(env.read(written)["AIRFLOW_FERNET_KEY"])


def test_every_variable_of_the_compose_file_is_explained_and_the_other_way_round() -> None:
    used = {name for name, _ in VARIABLE.findall(TEXT)}
    assert used | {"COMPOSE_PROFILES"} == set(EXPLAINED)


def test_a_default_in_the_compose_file_is_the_examples_value() -> None:
    for name, default in VARIABLE.findall(TEXT):
        if default.startswith(":-"):
            assert EXPLAINED[name] == default[2:], name


def test_a_secret_has_no_default_and_stands_in_no_command() -> None:
    secrets = env.names_of_secrets()
    assert not [name for name, default in VARIABLE.findall(TEXT) if name in secrets and default.startswith(":-")]
    for service in SERVICES.values():
        words = json.dumps([service.get("command"), service.get("healthcheck")])
        assert not [name for name in secrets if name in words]


def test_only_what_needs_a_secret_has_it() -> None:
    def holders(secret: str) -> set[str]:
        return {name for name, service in SERVICES.items() if f"${{{secret}" in json.dumps(service.get("environment"))}

    airflow = {name for name in SERVICES if name.startswith("airflow-")}
    assert holders("AIRFLOW_ADMIN_PASSWORD") == {"airflow-apiserver", "demo"}
    assert holders("POSTGRES_PASSWORD") == {"postgres"}
    assert holders("AIRFLOW_DB_PASSWORD") == airflow | {"postgres"}
    tasks_and_page = {"airflow-scheduler", "airflow-apiserver"}
    assert holders("CATALOG_DB_PASSWORD") == tasks_and_page | {"postgres", "demo", "spark-sql"}
    assert holders("SPARK_SECRET") == {"airflow-scheduler", "spark-master", "spark-worker"}
    makers = {"bucket-init", "object-store-seaweedfs"}
    assert holders("OBJECT_STORE_ROOT_PASSWORD") == makers | {"object-store"}
    assert holders("OBJECT_STORE_SECRET_KEY") == makers | {"airflow-scheduler", "spark-worker"}
    assert holders("OBJECT_STORE_READER_SECRET_KEY") == makers | {"airflow-apiserver", "spark-sql"}
    assert holders("OBJECT_STORE_UPLOADER_SECRET_KEY") == makers | {"demo"}


def test_a_client_of_the_store_has_a_key_of_its_own_and_never_the_root() -> None:
    for name, service in SERVICES.items():
        key = service.get("environment", {}).get("AWS_ACCESS_KEY_ID", "")
        assert "ROOT" not in key, name
        meets_it = bool({"store", "store-of-workers"} & networks(name))
        assert meets_it is bool(key) or name.startswith("object-store"), name


def networks(service: str) -> set[str]:
    return set(SERVICES[service]["networks"])


def test_a_service_reaches_only_what_it_needs() -> None:
    meets = {name: {other for other in SERVICES if networks(other) & networks(name)} - {name} for name in SERVICES}
    stores = {"object-store", "object-store-seaweedfs"}
    assert meets["spark-master"] == {"spark-worker", "airflow-scheduler"}
    assert meets["spark-worker"] == {"spark-master", "airflow-scheduler"} | stores
    assert meets["postgres"] == {name for name in SERVICES if name.startswith("airflow-")} | {"demo", "spark-sql"}
    assert not meets["postgres"] & (stores | {"spark-master", "spark-worker", "bucket-init"})
    assert "databases" in networks("airflow-init")
    assert set(COMPOSE["networks"]) == {network for name in SERVICES for network in networks(name)}


def test_every_service_has_limits_of_memory_processes_and_logs() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"(\$\{[A-Z_]+:-)?\d+g\}?", service["mem_limit"]), name
        assert 0 < service["pids_limit"] <= 4096, name
        options = service["logging"]["options"]
        assert options["max-size"].endswith("m"), name
        assert int(options["max-file"]) < 10, name


def test_spark_listens_on_its_address_on_the_way_to_the_master_or_not_at_all() -> None:
    def environment_of_spark(master: str) -> subprocess.CompletedProcess[str]:
        script = (REPOSITORY / "deploy/compose/spark/spark-env.sh").read_text().replace("spark-master", master)
        line = f"{script}\necho $SPARK_LOCAL_IP $SPARK_LOCAL_HOSTNAME"
        return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)

    assert environment_of_spark("localhost").stdout == "127.0.0.1 127.0.0.1\n"
    unknown = environment_of_spark("no-such-host.invalid")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    daemons = [name for name, service in SERVICES.items() if "_SPARK_AUTH_SECRET" in service.get("environment", {})]
    assert all(SERVICES[name]["environment"]["SPARK_CONF_DIR"].endswith("/deploy/compose/spark") for name in daemons)
    assert all("spark" in SERVICES[name]["networks"] for name in daemons)


def test_no_airflow_service_serves_logs_of_its_own() -> None:
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in SERVICES[name]["command"]


def test_ports_are_published_on_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:$") for port in ports)
    assert len(ports) == 4  # Airflow, the catalog, and one of two stores


def test_our_services_have_no_capabilities_and_one_builds_the_image() -> None:
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert [name for name, service in SERVICES.items() if "cap_add" in service] == ["postgres"]
    assert "postgres" not in OURS
    assert [name for name, service in OURS.items() if "build" in service] == ["airflow-init"]
    assert "\nUSER imagefeatures\n" in (REPOSITORY / "deploy" / "compose" / "Dockerfile").read_text()


def test_every_lasting_service_has_a_health_check_and_is_restarted() -> None:
    once = {"airflow-init", "bucket-init", "demo", "spark-sql"}
    assert {name for name, service in SERVICES.items() if service["restart"] == "no"} == once
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == once


@pytest.mark.parametrize("name", ["MIN_HEARTBEAT_INTERVAL", "MAX_FAILED_HEARTBEATS"])
def test_a_heartbeat_is_sent_and_may_fail_as_often_as_in_the_local_deployment(name: str) -> None:
    from deploy.local.environment import environment

    variable = f"AIRFLOW__WORKERS__{name}"
    assert SERVICES["airflow-scheduler"]["environment"][variable] == environment(Path("any"), 0)[variable]


def test_the_image_holds_every_folder_that_its_programs_import() -> None:
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"dags", "demo", "deploy", "imagefeatures", "jobs", "plugins", "requirements.txt"} <= kept
    assert not kept & {".env", ".git", "tests", "lake"}


def test_every_module_that_a_service_runs_exists() -> None:
    named = re.findall(r"\bpython3?,? -m,? ([\w.]+)", TEXT)
    assert {"deploy.compose.bucket", "deploy.compose.env", "deploy.local"} <= set(named)
    assert not [module for module in named if importlib.util.find_spec(module) is None]


def test_every_file_of_the_image_that_the_compose_file_names_is_in_the_repository() -> None:
    named = set(re.findall(r"/opt/imagefeatures/([\w./-]+)", TEXT))
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()
    assert "jobs/imagefeatures_spark/log4j2.properties" in named


def test_the_dataset_file_points_into_the_bucket() -> None:
    dataset = load_dataset(REPOSITORY / "deploy" / "compose" / "datasets" / "fruit.yaml")
    local = load_dataset(REPOSITORY / "datasets" / "fruit.yaml")
    name = env.read(env.EXAMPLE)["BUCKET"]
    assert str(dataset.source) == f"s3://{name}/photos/fruit/{{partition}}/"
    assert dataset.model_copy(update={"source": local.source}) == local


def test_the_bucket_is_made_once(s3: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", "s3://fresh-one/lake")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", "sqlite://")
    bucket.main()
    bucket.main()
    assert capsys.readouterr().out == "bucket fresh-one: created\nbucket fresh-one: exists\n"
    assert "fresh-one" in {listed["Name"] for listed in s3.list_buckets()["Buckets"]}


def test_airflow_reads_the_password_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "passwords.json"
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(file))
    for password in ('a "quoted" one', "another"):
        monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", password)
        passwords.main()
        assert json.loads(file.read_text()) == {"admin": password}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_server_that_does_not_answer_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "http://127.0.0.1:9/execution/")
    assert healthy.main("scheduler") == 1


def test_the_photos_go_into_the_bucket_once(s3: Any, tmp_path: Path) -> None:
    rows = [{"finegrained_cat": f"L{seed % 7}", "image_data": jpeg(seed)} for seed in range(42)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "photos.parquet")
    folder = f"s3://{s3.list_buckets()['Buckets'][0]['Name']}/photos"
    days = photos.upload(tmp_path / "photos.parquet", folder)
    assert days == photos.lay_out(tmp_path / "photos.parquet", tmp_path / "photos")
    uploaded = {stored.uri.removeprefix(folder): storage.read(stored.uri) for stored in storage.list_objects(folder)}
    local = tmp_path / "photos"
    assert uploaded == {f"/{path.relative_to(local)}": path.read_bytes() for path in local.rglob("*") if path.is_file()}

    spoiled = f"{folder}{min(uploaded)}"
    storage.write(spoiled, b"spoiled")
    before = {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket=folder.split("/")[2])["Contents"]}
    photos.upload(tmp_path / "photos.parquet", folder)
    after = {o["Key"]: o["LastModified"] for o in s3.list_objects_v2(Bucket=folder.split("/")[2])["Contents"]}
    assert storage.read(spoiled) == uploaded[min(uploaded)]
    assert {key for key in after if after[key] != before[key]} <= {spoiled.split("/", 3)[3]}

    storage.write(f"{folder}/fruit/2026-11-01/mine.jpg", b"precious")
    with pytest.raises(InputError, match=r"mine\.jpg is not one of the demo's files"):
        photos.upload(tmp_path / "photos.parquet", folder)


def test_settings_of_the_compose_file_are_read_by_the_service() -> None:
    variables = SERVICES["airflow-scheduler"]["environment"]
    for name in ("IMAGEFEATURES_PRICES", "IMAGEFEATURES_NOTIFIERS"):
        assert VARIABLE.findall(variables[name]) == [(name, ":-")]
        assert EXPLAINED[name] == ""
    # Of this machine: where files are kept and by whose rights; a token in a file that the containers do not have.
    own = {"IMAGEFEATURES_CACHE", "IMAGEFEATURES_FILE_MODE", "IMAGEFEATURES_SERVING_TOKEN_FILE"}
    manual = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(IMAGEFEATURES_\w+)`", manual, re.MULTILINE)
    assert len(documented) >= 15
    assert {*documented} - own <= variables.keys()
    filled = {name: VARIABLE.sub("x", value) for name, value in variables.items()}
    kept = {name: "" for name in variables if name.startswith("IMAGEFEATURES_KEEP_")}
    assert Settings.from_env(filled | kept | {"IMAGEFEATURES_PRICES": ""}).retention == Retention()
    kept |= {"IMAGEFEATURES_KEEP_SNAPSHOTS": "50"}
    settings = Settings.from_env(filled | kept | {"IMAGEFEATURES_PRICES": "core_hour=2"})
    assert settings.retention.snapshots == 50
    assert settings.prices == Prices.parse("core_hour=2")
    assert settings.lake == "s3://x/lake"
    assert settings.catalog == "postgresql+psycopg://catalog:x@postgres/catalog"
    assert settings.datasets == Path("/datasets")
