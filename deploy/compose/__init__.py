"""The files and programs that docker-compose.yml needs besides the service itself.

    Dockerfile     the one image of Airflow and Spark
    jvm.options    options of every JVM, for a quick start: no JVM does heavy work
    postgres.sql   the two databases and their users, created with the volume
    seaweedfs.sh   starts SeaweedFS with the keys and their rights
    spark          what every program of Spark reads: the address that it listens on
    datasets       the dataset files of this deployment; their photos are in its bucket
    env            writes .env with fresh secrets (on the host, before anything runs)
    bucket         creates the bucket if it is missing, and gives the keys their rights
    passwords      writes the file from which Airflow's Simple auth manager reads the admin's password
    healthy        the health checks

The programs use the standard library alone; `bucket` also uses boto3 and MinIO's client.
"""
