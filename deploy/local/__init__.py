"""The local deployment: Airflow, Spark and the lake on one machine, as ordinary processes of this user.

environment    the variables of all its processes
migration      whether Airflow's database still has to be migrated
services       Airflow's processes, started, watched and stopped
processes      how a service is ended with everything below it
cut_off_tasks  tasks that were cut off when Airflow ended, scheduled again
watch          how often a service that ends is started again
claim          who has the folder and the port
up             all of that until Ctrl-C
api            a client of Airflow's REST API, quicker than Airflow's command line
run_variables  the run parameters of `make run`
run_partition  one partition to the end, with its progress printed
one_run        one partition through the DAG, without a scheduler
spark_sql      Spark's SQL shell on this deployment's tables
spark_start    the files that let Spark start sooner

python -m deploy.local up | run DATASET [PARTITION] | spark-sql | airflow … | spark-start
"""
