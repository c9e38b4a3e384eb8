"""The DAG `upkeep`, which removes what runs leave behind, once a week:

    look -> remove

Its code and its manual, which the UI shows, are in `imagefeatures_airflow/upkeep.py`, a part of the package. An
installation without this checkout needs a DAG file of these lines.
"""

from imagefeatures import names
from imagefeatures_airflow.upkeep import upkeep_dag

globals()[names.UPKEEP_DAG] = upkeep_dag()
