"""The peers, one module each, run by the interpreter of an environment of its own (`.bench/<peer>`).

    python -m benchmarks.peers.with_daft PHOTOS MODEL OUT CORES REPORT

PHOTOS: folder of JPEG files. MODEL: folder with the engine's files. OUT: folder for the Parquet
files (columns `path`, `features`). CORES: how many there are. REPORT: JSON file with what was timed.
"""
