"""Measurements. `make bench` runs `benchmarks/__main__.py`: limits, our steps and the peers, in one run and one table.

photos      the photos: as many as are wanted, all different
limits      what the machine can do at most, as bare loops
ours        our steps through spark-submit, and the whole run through the DAG
others      the peers, each in a process and an environment of its own; benchmarks/peers holds their code
arithmetic  medians, spreads, ratios, the fitted line, the targets
report      the table, the chart, the JSON file
breakdown   where the seconds of a shard go, measured alone
isolation   what decoding in a child process costs, measured alone
"""
