"""Forgets images: out of every table, file and snapshot of the lake, and for all runs to come.

deny       the list of keyed hashes that ingest and register compare with
wanted     what is to be forgotten, and whether rows or bytes hold it
pending    requests that are not done yet, so that whatever interrupts one, the next forget finishes it
places     what holds it besides the tables: unfinished runs, kept rejects, exports
work       one request from its beginning to its row in features.forgotten
fetched    whether ingest has fetched something that is forgotten
late       runs that hold an image which was forgotten after its fetch
meanwhile  what a publication must know of requests that came while it was made
report     what was done, and what is not this service's to delete
"""
