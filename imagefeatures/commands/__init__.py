"""The commands of `imagefeatures`, a module each.

HELP                     the command in a few words
add_arguments(parser)    what may be given
run(parsed) -> int       do it; returns the exit status, or raises an ImageFeaturesError

The modules are all imported for any command: what is heavy they import when they run.
"""
