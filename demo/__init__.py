"""What `make demo` adds to the service: photos to work on, a report and a picture.

    photos     fetches the grocery photos and lays them out as three days
    bad_files  the bad and the unusual files among them
    backfill   runs the three days through a real scheduler
    report     the table at the end, and the check of its numbers
    outcome    prints that report for what a backfill has published
    deployed   all of it but the picture, in a deployment that is already up: `python -m demo.deployed`

`python -m demo` starts Airflow, runs them all, and draws the picture.
"""
