"""What `make demo` needs besides the service itself: photos to work on, and something to look at.

    photos    fetch the grocery photos, lay them out as three days
    odd       the bad and odd files that lie among them
    backfill  the three days through a real scheduler
    report    the table at the end, and whether its numbers add up
    outcome   that report, of what a backfill has published
    picture   a map of the features, drawn by `scatter`, and nearest neighbours
    deployed  all of it but the picture, for a deployment that is already up: `python -m demo.deployed`

`python -m demo` puts them together.
"""
