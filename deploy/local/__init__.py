"""The embedded deployment: Airflow, Spark and the lake on one machine, as ordinary processes of this user.

environment  the variables that make it so
services     Airflow's processes, started and stopped
api          a client of Airflow's REST API, for what the command line would take seconds to say
one_run      one partition through the DAG, without a scheduler
spark_sql    Spark's SQL shell, on this deployment's tables

python -m deploy.local up | run DATASET PARTITION | spark-sql | airflow … | archive
"""
