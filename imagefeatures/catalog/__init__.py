"""The Iceberg catalog and its tables. The only modules of the package that import pyiceberg.

connect    reaches the catalog, and says in one line why it cannot be reached
tables     opens the tables, and replaces one partition of them in one commit
retention  bounds a table's past, and deletes what is beyond it
undo       takes a run out of the tables again that was refused after its first commit
snapshots  settles which files and rows a snapshot has
filters    conditions on rows
"""
