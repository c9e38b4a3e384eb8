"""The commands of `imagefeatures`, one module for each.

HELP                     the command in a few words
add_arguments(parser)    declares its arguments
run(parsed) -> int       runs it; returns the exit status, or raises an ImageFeaturesError

Every command imports all of these modules, so they import heavy libraries only in `run`.
"""
