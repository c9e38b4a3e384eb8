"""Removes what years of runs leave behind: by age, and only what nothing needs any more.

live    the runs and classifiers that can still be published, whose files are left
aged    what else of a lake grows old: unfinished runs, kept rejects, prepared models
caches  what the page keeps on this machine
work    all of it, in order
report  what was found, and what was removed
kept    the reports of the last ones, for the page
"""
