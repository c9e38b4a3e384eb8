"""The settings of a deployment: the only module that reads the environment.

    IMAGEFEATURES_LAKE      file:///… or s3://bucket/prefix; default in a checkout: file://<repository>/lake
    IMAGEFEATURES_CATALOG   SQLAlchemy URL of the Iceberg catalog, or http(s)://… of a REST catalog;
                            default SQLite inside a local lake
    IMAGEFEATURES_DATASETS  folder of dataset files; default in a checkout: <repository>/datasets
    IMAGEFEATURES_CACHE     folder for downloaded weights; default ~/.cache/imagefeatures
    IMAGEFEATURES_FILE_MODE permissions of new files in a local lake, as chmod writes them; default 0640
    IMAGEFEATURES_KEEP_SNAPSHOTS, IMAGEFEATURES_KEEP_DAYS, IMAGEFEATURES_KEEP_TAGS
                            how much of a table's past is kept; default 100 snapshots, 30 days, 30 tags of runs
    IMAGEFEATURES_KEEP_STRAYS_DAYS, IMAGEFEATURES_KEEP_STAGING_DAYS, IMAGEFEATURES_KEEP_REJECTS_DAYS,
    IMAGEFEATURES_KEEP_MODELS_DAYS, IMAGEFEATURES_KEEP_CACHES_DAYS
                            for how long upkeep leaves what nothing needs; default 7, 30, 365, 90, 30
    IMAGEFEATURES_PRICES    what units of a run cost, such as core_hour=0.045,currency=USD; default: no money is shown
    IMAGEFEATURES_HTTP_ALLOW
                            networks that URLs may lead to although they are not public, by commas; default none
    IMAGEFEATURES_SERVING_TOKEN, IMAGEFEATURES_SERVING_TOKEN_FILE
                            what model servers are shown, as it is or in a file; default none
    IMAGEFEATURES_NOTIFIERS import paths that dataset files may name under alerts.notify, by commas; default none
    IMAGEFEATURES_PROGRAM   how people call this program here; docker-compose.yml has an example
    SSL_CERT_FILE           the certificates that are trusted for https:// URLs; default those of certifi

S3 credentials, region and endpoint come from the standard AWS_* variables. boto3 reads them by itself; pyiceberg
does not, so `iceberg_s3_properties` passes them on.

A checkout has its own lake and datasets folder. An installed package has neither, because site-packages is no place
for data: each of the two variables is then required when its folder is first needed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import quote

from imagefeatures.cost import Prices
from imagefeatures.errors import SettingsError

REPOSITORY = Path(__file__).resolve().parent.parent
"""The root of the checkout. For an installed package: site-packages, which holds no other file of the project."""

FILE_MODES = ("0600", "0640", "0644", "0660", "0664")
"""What IMAGEFEATURES_FILE_MODE may be: no file is executable, and others never write."""


@dataclass(frozen=True)
class Retention:
    """How much of a table's past is kept: at most so many snapshots, each for so many days after it was replaced.

    tags: so many of the runs whose rows stand have a tag, which holds the snapshot that the run left.
    """

    snapshots: int = 100
    days: int = 30
    tags: int = 30

    @property
    def most_tags(self) -> int:
        """The number of such tags; at most a third of the snapshots, since a tagged one is kept beside them."""
        return min(self.tags, self.snapshots // 3)

    @property
    def group(self) -> int:
        """How many snapshots beyond the number have to come together before they are removed."""
        return max(1, self.snapshots // 5)


@dataclass(frozen=True)
class Ages:
    """For how many days after it was last written `imagefeatures upkeep` leaves what nothing needs any more.

    strays: a file of a table that no snapshot names; more than the longest run takes. staging: an unfinished run.
    rejects: the kept bytes of a rejected object. models: a prepared model. caches: what the page keeps on its machine;
    and a map, after it was made.
    """

    strays: int = 7
    staging: int = 30
    rejects: int = 365
    models: int = 90
    caches: int = 30


@dataclass(frozen=True)
class Settings:
    """The deployment's four locations, and how much of the past it keeps. Make one with `Settings.from_env()`.

    prices: what the units of a run cost; None when the variable is not set.
    datasets_folder: None when the variable is not set. A reader of the tables needs no dataset files; code that
    needs them uses `datasets`.
    """

    lake: str
    catalog: str
    datasets_folder: Path | None
    cache: Path
    retention: Retention = Retention()
    prices: Prices | None = None
    ages: Ages = Ages()

    @property
    def datasets(self) -> Path:
        """The folder of dataset files. Raises SettingsError naming the variable when it must be set."""
        return self.datasets_folder or _in_checkout("IMAGEFEATURES_DATASETS", "datasets")

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings. Raises SettingsError naming the variable that is wrong.

        >>> Settings.from_env({"IMAGEFEATURES_LAKE": "file:///data/lake"}).catalog
        'sqlite:////data/lake/catalog.db?timeout=60'
        """
        lake = lake_from_env(env)
        return cls(
            lake=lake,
            catalog=env.get("IMAGEFEATURES_CATALOG") or _default_catalog(lake),
            datasets_folder=_folder(env, "IMAGEFEATURES_DATASETS"),
            cache=_path("IMAGEFEATURES_CACHE", env.get("IMAGEFEATURES_CACHE") or "~/.cache/imagefeatures"),
            retention=Retention(
                # At least some publications, or a reader of the newest snapshot could lose its files at the next one.
                snapshots=_whole_number(env, "IMAGEFEATURES_KEEP_SNAPSHOTS", Retention.snapshots, 10),
                days=_whole_number(env, "IMAGEFEATURES_KEEP_DAYS", Retention.days, 1),
                tags=_whole_number(env, "IMAGEFEATURES_KEEP_TAGS", Retention.tags, 0),
            ),
            prices=_prices(env),
            ages=Ages(
                strays=_whole_number(env, "IMAGEFEATURES_KEEP_STRAYS_DAYS", Ages.strays, 1),
                staging=_whole_number(env, "IMAGEFEATURES_KEEP_STAGING_DAYS", Ages.staging, 1),
                rejects=_whole_number(env, "IMAGEFEATURES_KEEP_REJECTS_DAYS", Ages.rejects, 1),
                models=_whole_number(env, "IMAGEFEATURES_KEEP_MODELS_DAYS", Ages.models, 1),
                caches=_whole_number(env, "IMAGEFEATURES_KEEP_CACHES_DAYS", Ages.caches, 1),
            ),
        )


def lake_from_env(env: Mapping[str, str] = os.environ) -> str:
    """The lake alone, for a process that needs no catalog. Raises SettingsError.

    >>> lake_from_env({"IMAGEFEATURES_LAKE": "s3://bucket/lake/"})
    's3://bucket/lake'
    """
    lake = (env.get("IMAGEFEATURES_LAKE") or f"file://{_in_checkout('IMAGEFEATURES_LAKE', 'lake')}").rstrip("/")
    if not re.fullmatch("file:///.+|s3://[^/]+.*", lake):
        raise SettingsError(f"IMAGEFEATURES_LAKE: {lake!r} is neither file:///… nor s3://bucket/prefix")
    if re.search("[?#\ud800-\udfff]", lake):  # tables would silently be written outside the lake, or nowhere
        raise SettingsError(f"IMAGEFEATURES_LAKE: {lake!r} holds a ? or #, where pyiceberg would cut it, or no UTF-8")
    return lake


def iceberg_s3_properties(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The AWS_* variables as properties of pyiceberg (its S3 reader ignores AWS_ENDPOINT_URL)."""
    properties = {
        "s3.endpoint": env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL"),
        "s3.access-key-id": env.get("AWS_ACCESS_KEY_ID"),
        "s3.secret-access-key": env.get("AWS_SECRET_ACCESS_KEY"),
        "s3.session-token": env.get("AWS_SESSION_TOKEN"),
        # Without a region pyiceberg asks AWS for it, which takes six seconds and logs a warning on any other store.
        "s3.region": env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
    }
    return {name: value for name, value in properties.items() if value}


def file_mode(env: Mapping[str, str] = os.environ) -> int:
    """The permissions of the files that this service writes to a file system. Raises SettingsError.

    >>> oct(file_mode({"IMAGEFEATURES_FILE_MODE": "0600"}))
    '0o600'
    """
    mode = env.get("IMAGEFEATURES_FILE_MODE") or "0640"
    if mode not in FILE_MODES:
        raise SettingsError(f"IMAGEFEATURES_FILE_MODE: {mode!r} is none of {', '.join(FILE_MODES)}")
    return int(mode, 8)


def http_allow(env: Mapping[str, str] = os.environ) -> tuple[IPv4Network | IPv6Network, ...]:
    """The networks that URLs may lead to although they are not public. Raises SettingsError.

    >>> http_allow({"IMAGEFEATURES_HTTP_ALLOW": "10.1.0.0/16, fd00::7"})
    (IPv4Network('10.1.0.0/16'), IPv6Network('fd00::7/128'))
    """
    networks = [text.strip() for text in (env.get("IMAGEFEATURES_HTTP_ALLOW") or "").split(",") if text.strip()]
    try:
        return tuple(map(ip_network, networks))
    except ValueError as error:
        raise SettingsError(
            f"IMAGEFEATURES_HTTP_ALLOW: {error}; write networks such as 10.1.0.0/16, separated by commas"
        ) from None


def notifiers(env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The import paths that a dataset file may name as what is to be called: who writes one may run no other code.

    >>> notifiers({"IMAGEFEATURES_NOTIFIERS": "my_module.tell, other.Notifier"})
    ('my_module.tell', 'other.Notifier')
    """
    return tuple(text.strip() for text in (env.get("IMAGEFEATURES_NOTIFIERS") or "").split(",") if text.strip())


def ca_bundle(env: Mapping[str, str] = os.environ) -> str | None:
    """The file of trusted certificates that SSL_CERT_FILE names; None where it is not set. Raises SettingsError."""
    bundle = env.get("SSL_CERT_FILE")
    if bundle and not Path(bundle).is_file():
        raise SettingsError(f"SSL_CERT_FILE: there is no file {bundle!r}")
    return bundle or None


def serving_token(env: Mapping[str, str] = os.environ) -> str | None:
    """The bearer token for model servers; None where none is set. Raises SettingsError, which never holds the token."""
    name, token = "IMAGEFEATURES_SERVING_TOKEN", env.get("IMAGEFEATURES_SERVING_TOKEN") or ""
    if path := _folder(env, "IMAGEFEATURES_SERVING_TOKEN_FILE"):
        if token:
            raise SettingsError(f"{name}: is set, and {name}_FILE too; remove one of them")
        try:
            name = f"{name}_FILE"
            token = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SettingsError(f"{name}: {path} cannot be read ({type(error).__name__})") from None
    token = token.strip()
    if not re.fullmatch("[!-~]*", token):
        raise SettingsError(f"{name}: holds a blank or a character that no header has")
    return token or None


def _default_catalog(lake: str) -> str:
    if not lake.startswith("file://"):
        raise SettingsError(
            f"IMAGEFEATURES_CATALOG: must be set when the lake is {lake} (for example postgresql+psycopg://…)"
        )
    # SQLite allows one writer at a time; the others wait this many seconds before they fail with "locked".
    return f"sqlite:///{quote(lake.removeprefix('file://'), safe='/ ')}/catalog.db?timeout=60"


def _prices(env: Mapping[str, str]) -> Prices | None:
    text = env.get("IMAGEFEATURES_PRICES")
    try:
        return Prices.parse(text) if text else None
    except ValueError as error:
        raise SettingsError(f"IMAGEFEATURES_PRICES: {error}") from None


def _whole_number(env: Mapping[str, str], name: str, default: int, least: int) -> int:
    value = env.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,6}", value) or int(value) < least:
        raise SettingsError(f"{name}: {value!r} is not a whole number from {least} to 999999")
    return int(value)


def _folder(env: Mapping[str, str], name: str) -> Path | None:
    return _path(name, env[name]) if env.get(name) else None


def _path(name: str, value: str) -> Path:
    try:
        path = Path(value.removeprefix("file://")).expanduser()
    except RuntimeError:  # a user of no name, as in some containers, has no home folder
        raise SettingsError(f"{name}: there is no home folder for {value!r}; set an absolute path") from None
    if not path.is_absolute():
        raise SettingsError(f"{name}: {value!r} is not an absolute path")
    return path


def _in_checkout(variable: str, folder: str) -> Path:
    """A folder of the checkout, for a variable that is not set. Raises SettingsError where there is no checkout."""
    if not is_checkout(REPOSITORY):
        raise SettingsError(
            f"{variable}: must be set. imagefeatures is installed in {REPOSITORY}; "
            f"only a checkout has a {folder} folder of its own"
        )
    return REPOSITORY / folder


def program(name: str = "imagefeatures", env: Mapping[str, str] = os.environ) -> str:
    """A program of this environment, as a person calls it: those of a checkout are on nobody's path.

    Where the deployment says how `imagefeatures` is called, it is that: a container cannot know how it is entered.

    >>> program(env={"IMAGEFEATURES_PROGRAM": "docker compose exec airflow-scheduler imagefeatures"})
    'docker compose exec airflow-scheduler imagefeatures'
    """
    if name == "imagefeatures" and (called := " ".join(env.get("IMAGEFEATURES_PROGRAM", "").split())):
        return called
    own = Path(sys.executable).parent / name
    return str(own.relative_to(REPOSITORY)) if own.is_relative_to(REPOSITORY) else name


def is_checkout(folder: Path) -> bool:
    """Whether the folder has this project's pyproject.toml, by its name: some packages put theirs in site-packages."""
    import tomllib  # needed only when a variable is not set

    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return False
    return bool(project.get("name") == "imagefeatures")
