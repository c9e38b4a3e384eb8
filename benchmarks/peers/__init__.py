"""The peers, one module each, run by the interpreter of their own environments (`.bench/<peer>`).

    python -m benchmarks.peers.with_daft PHOTOS MODEL OUT CORES REPORT

PHOTOS: folder of image files. MODEL: folder with the engine's files. OUT: folder for the Parquet
files (columns `path`, `features`). CORES: how many to use. REPORT: JSON file for the seconds and versions.
"""
