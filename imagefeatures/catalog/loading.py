"""Opens the catalog of the settings as one of this package's own, which import nothing that a property names."""

from __future__ import annotations

from typing import Any

from pyiceberg.catalog import Catalog
from pyiceberg.utils.config import Config

from imagefeatures import layout, names
from imagefeatures.catalog import connect, file_io
from imagefeatures.errors import SettingsError
from imagefeatures.settings import Settings, iceberg_s3_properties

OF_PYICEBERG = "pyiceberg's own settings, in variables PYICEBERG_… or .pyiceberg.yaml"

AUTHENTICATION = ("noop", "basic", "oauth2", "legacyoauth2", "google", "entra")
"""The kinds that pyiceberg has by name. Any other text it takes for the path of a class, and imports it."""


def load_catalog(settings: Settings) -> Catalog:
    """Connect to the catalog. Its tables are checked (`guards`), and their files go through `file_io` alone.

    Not pyiceberg's own function: that imports whatever a property names. Raises SettingsError, and drivers' errors.
    """
    given = (
        _configured() | connect.properties(settings.catalog, layout.warehouse(settings.lake)) | iceberg_s3_properties()
    )
    given |= {file_io.LAKE: settings.lake, "py-io-impl": f"{file_io.__name__}.{file_io.LakeFileIO.__name__}"}
    if connect.is_rest(settings.catalog):
        from imagefeatures.catalog.rest_catalog import LakeRestCatalog

        return LakeRestCatalog(names.CATALOG, **given)
    from imagefeatures.catalog.sql_catalog import LakeSqlCatalog

    return LakeSqlCatalog(names.CATALOG, **given)


def _configured() -> dict[str, Any]:
    """What pyiceberg's own variables and files say of this catalog.

    Raises SettingsError where they name code, or cannot be read.
    """
    try:
        config = Config()
        configured: dict[str, Any] = dict(config.get_catalog_config(names.CATALOG) or {})
        config.get_int("max-workers")  # read with a table's first file, and told as a fault of that file
    except (OSError, ValueError) as error:
        why = str(error).partition(", value: ")[0]  # behind it stands what the variable holds, and it may be a token
        raise SettingsError(f"{OF_PYICEBERG}: {why}") from None
    except Exception as error:  # of the parser of the file, whose words quote it, and a token may stand there
        raise SettingsError(f"{OF_PYICEBERG}: not YAML as pyiceberg reads it ({type(error).__name__})") from None
    auth = configured.get("auth")
    kind = auth.get("type", "noop") if isinstance(auth, dict) else "noop"
    if kind not in AUTHENTICATION:
        raise SettingsError(
            f".pyiceberg.yaml: catalog.{names.CATALOG}.auth.type is {kind!r}, none of {', '.join(AUTHENTICATION)}; no "
            "class is imported by its name"
        )
    return configured
