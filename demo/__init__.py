"""What `make demo` needs besides the service itself: photos to work on, and something to look at.

    photos    fetch the grocery photos, lay them out as three days
    odd       the bad and odd files that lie among them
    backfill  the three days through a real scheduler
    report    the table at the end, and whether its numbers add up
    outcome   that report, of what a backfill has published

`python -m demo` puts them together and draws the picture (imagefeatures.picture), `python -m demo.deployed` the same,
without the picture, for a deployment that is already up.
"""
