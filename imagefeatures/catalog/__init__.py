"""The Iceberg catalog and its tables. The only modules of the package that import pyiceberg.

connect    reaches the catalog, and says in one line why it cannot be reached
tables     opens the tables, and replaces one partition of them in one commit
snapshots  settles which files and rows a snapshot has
filters    conditions on rows
"""
