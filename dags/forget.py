"""The DAG `forget`, which removes images from all datasets for good:

    remove

Its code and its manual, which the UI shows, are in `imagefeatures_airflow/forget.py`, a part of the package. An
installation without this checkout needs a DAG file of these lines.
"""

from imagefeatures import names
from imagefeatures_airflow.forget import forget_dag

globals()[names.FORGET_DAG] = forget_dag()
