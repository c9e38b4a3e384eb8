"""A DAG for each dataset file, `redrive_<dataset>`, which takes quarantined objects again:

    plan >> partition [ingest >> validate >> resize >> featurize >> register >> statistics; model >> featurize]

Its code and its manual, which the UI shows, are in `imagefeatures_airflow/redrive.py`, a part of the package. An
installation without this checkout needs a DAG file of these lines.
"""

from imagefeatures_airflow import redrive_dags

globals().update(redrive_dags())
