"""The Iceberg catalog and its tables. The only modules of the package that import pyiceberg.

connect       reaches the catalog, and says in one line why it cannot be reached
failures      says in one line what an operation on a table has raised
readiness     proves before a run that the tables can be read and written
loading       opens the catalog of the settings: one of the next two
sql_catalog   pyiceberg's catalog in a database, with file_io and guards
rest_catalog  pyiceberg's catalog behind REST, with file_io and guards
file_io       reads and writes the tables' files, and nothing that a property names does
guards        refuses tables of another lake or a newer version, and metadata that is lost
tables        opens the tables, and replaces one partition of them in one commit
transactions  changes that become one commit, at a cost that does not grow with a table's past
attempts      how often a commit that lost a race is tried again
learning      the tables of the namespace learning, opened, replaced and read
standing      what a partition holds, for a re-drive or a withdrawal
records       tables that keep what was done, a row for each time
statistics    the table of what partitions are like: replaced, read, taken out, forgotten
unfit         whether a table still takes the rows and files of runs
purge         takes the rows of single images out of a table, its snapshots and its folder
retention     bounds a table's past, and deletes what is beyond it
expired_files
              finds the files that only expired snapshots name
manifests     reads manifest lists and manifests, with one reader for all of a schema
past          the metadata files of its own, also those that its log has forgotten
tags          names in it the runs whose rows stand
sweep         finds and deletes the files in a table's folder that nothing names
undo          takes a run out of the tables again that was refused after its first commit
pixel_tables  what the pixels of a table are, and that all have one shape
known_files   the data files that may hold vectors to reuse, without every manifest
widths        vectors of one width in a table
owners        one dataset for each table of features
room          whether the disk has room for a publication
snapshots     settles which files and rows a snapshot has
filters       conditions on rows
source_tables
              reads other people's tables, which are a source
relocation    makes the tables of a lake that was copied or moved its own
repair        the catalog against the lake, and back to an earlier state
lost          tables that the lake has and the catalog does not
"""
