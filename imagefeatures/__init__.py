"""Image features: the work of every step, free of Airflow and Spark.

`docs/architecture.md` names the modules in the order in which an image meets them.
"""
