"""The web page "Image features": what is published, and its objects, as HTML; the map alone needs a script.

    app          the application: the guard, the headers, the error page, and the pages below
    access       who may see what
    datasets     every dataset; one dataset; one partition
    run          the partition that a DAG run fills
    notes        what its page says first
    redrives     a DAG run that is a re-drive: its tasks and partitions
    parameters   with which a DAG run was started
    unpublished  a DAG run that is under way or has failed: its tasks and steps
    looks        how far it is by its files: one look for all who watch it
    timeline     the partitions of a dataset in order, with those that are missing
    charts       their trends, as small drawings
    dag_runs     the DAG runs of datasets, as Airflow knows them
    quarantine   quarantined objects of all datasets
    actions      to run a partition again, to take its quarantined objects again
    gallery      the photos of a partition
    audit        labels in doubt, and photos that are there twice
    statistics   what partitions are like, and what is out of bounds: for the templates
    feature_map  the vectors of some partitions on a plane
    map_points   what that page has of a map: its labels, and its points as JSON
    static       scripts, style sheets and the chart library
    downloads    tables as CSV and Parquet
    partitions   published partitions, as far as a user may see them
    rows         the rows of their objects
    thumbnails   small pictures of them
    published    what is published: read by few threads, kept for seconds
    threads      the threads in which a page is made
    rendering    templates, filters, headers

A new page is a module with a `router` that is named in `app.PAGES`. Only Airflow's API server imports `app`:
FastAPI and Airflow's application take a second to load.
"""
