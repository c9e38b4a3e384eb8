"""Measurements. `make bench` runs `benchmarks/__main__.py`: limits, pipeline and peers, in one run and one table.

    photos         distinct photos, in folders of several sizes; `photos.sets` makes sets of 348 × 348 to 12 megapixels
    limits         the upper limits of the machine, measured by bare loops
    pipeline       the pipeline: its steps through spark-submit, and the whole run through the DAG
    peers_runner   the peers, each in a process and an environment of its own; benchmarks/peers holds their code
    arithmetic     medians, spreads, ratios, the fitted line, the targets
    report         the table, the chart, the JSON file
    bench          one of everything; `sizes` and `sizes_report` do it over sets of several sizes: make bench SIZES=all
    model          the model that is measured

Each of these is run alone:

    breakdown      the parts of the seconds that a shard takes
    local_run      imagefeatures run, the fused loop and Daft
    fixed_cost     20 photos: from the trigger to the table, and by make run; beside another checkout's
    step_cost      the cost of each step beside decoding and inference, by size; beside another checkout's
    decoding       the cost of decoding and resizing JPEGs, by size
    isolation      the cost of decoding in a child process
    ingest_s3      the speed of ingest on S3
    http_clients   the CPU time of fetching by URL
    url_table      images by URL from a table of 1,200 columns; `wide_table` makes it, `loopback_hosts` has the images
    readers        features handed to a training, beside pyarrow alone
    audit          wrong labels and copies that were planted, and how many of them an audit finds
    neighbours     the audit, or the map, of many made-up photos: time, memory, what is found of what was planted
    pages          the pages with 200 partitions and a million registered rows, and warm thumbnails
    map_in_browser  the map in a browser: its first picture, and frames while it is dragged
    exports        exports beside the bare loops of the same libraries
    listing        the driver's memory while it lists a large source
    driver_memory  the memory of the processes that handle a whole run
    worker_memory  the memory of Spark's Python workers over full shards
    chains         a linear probe for each chain of docs/preprocessing.md, and the picture there
    probe          a linear probe for each real model, for docs/models.md
    models         every model by name against Keras, and its speed; `seeded_models` draws weights and asks Keras
    gpus           every model by name on a GPU against Keras on the CPU, and its speed
    own_models     a model file in each format, for `models` and `probe`
    classifiers    each kind of classifier on the demo's photos, for the table of docs/classify.md
    growth         plan, register and readers at 10, 100 and 1,000 partitions; `growth_copies` fills lakes,
                   `growth_report` writes the tables
    scale          a billion images, calculated; `counting` has its counts of requests and bytes

`documents` puts a table into a document. `memory` reads the peaks of processes. `measured_job` is the job that
driver_memory and worker_memory submit.
"""
