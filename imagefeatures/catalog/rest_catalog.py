"""pyiceberg's REST catalog, with this package's FileIO and checked tables. What the server sends names no code."""

from __future__ import annotations

from typing import Any

from pyiceberg.catalog.rest import RestCatalog, TableResponse
from pyiceberg.table import CommitTableResponse, StagedTable, Table
from pyiceberg.table.update import TableRequirement, TableUpdate
from pyiceberg.typedef import EMPTY_DICT, Properties

from imagefeatures.catalog import connect, guards
from imagefeatures.catalog.file_io import LAKE, LakeFileIO, store_properties

SERVER_SETS = (
    "uri", "prefix", "warehouse", "namespace-separator", "rest-page-size", "token", "credential", "scope", "audience",
    "resource", "oauth2-server-uri", "rest.sigv4-enabled", "rest.signing-region", "rest.signing-name",
)  # fmt: skip
"""What a server's configuration may set, besides headers and the properties of the store."""


class LakeRestCatalog(RestCatalog):
    """A catalog behind REST. Its property LAKE holds the lake's URI."""

    def _fetch_config(self) -> None:
        own = dict(self.properties)
        super()._fetch_config()
        sent = {name: value for name, value in self.properties.items() if _server_sets(name, value)}
        self.properties = own | sent

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> LakeFileIO:
        return LakeFileIO(self.properties)

    def _response_to_table(self, identifier_tuple: tuple[str, ...], table_response: TableResponse) -> Table:
        table = super()._response_to_table(identifier_tuple, table_response)
        table.io = self._store_of(table_response)
        return self._checked(table)

    def _response_to_staged_table(
        self, identifier_tuple: tuple[str, ...], table_response: TableResponse
    ) -> StagedTable:
        table = super()._response_to_staged_table(identifier_tuple, table_response)
        table.io = self._store_of(table_response)
        self._checked(table)
        return table

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        response: CommitTableResponse = super().commit_table(table, requirements, updates)
        guards.without_code(response.metadata)
        return response

    def _store_of(self, response: TableResponse) -> LakeFileIO:
        """The FileIO with the credentials that the server lends for this table. The table's own properties set none."""
        lent = self._resolve_storage_credentials(response.storage_credentials, response.metadata_location)
        return LakeFileIO(self.properties | store_properties(response.config) | store_properties(lent))

    def _checked(self, table: Table) -> Table:
        return guards.checked(table, self.properties[LAKE], connect.describe(self.uri))


def _server_sets(name: str, value: Any) -> bool:
    allowed = name in SERVER_SETS or name.startswith("header.") or name in store_properties({name: value})
    return allowed and isinstance(value, str)
