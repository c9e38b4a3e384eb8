"""Measurements. `make bench` runs `benchmarks/__main__.py`: limits, our steps and the peers, in one run and one table.

photos      the photos: as many as are wanted, all different
limits      what the machine can do at most, as bare loops
ours        our steps through spark-submit, and the whole run through the DAG
others      the peers, each in a process and an environment of its own; benchmarks/peers holds their code
arithmetic  medians, spreads, ratios, the fitted line, the targets
report      the table, the chart, the JSON file
model       the model that is measured

Each of these is run alone:

breakdown    the parts of the seconds that a shard takes
isolation    the cost of decoding in a child process
ingest_s3    the speed of ingest on S3
listing      the driver's memory while it lists a large source
many         the memory of the processes that handle a whole run
full_shards  the memory of Spark's Python workers over full shards
scale        a billion images, calculated; `counting` counts its requests and bytes

`memory` and `peaks` read the peaks of processes. `watched_job` is the job that many and full_shards submit.
"""
