"""What docker-compose.yml needs besides the service itself.

    Dockerfile     the one image of Airflow and Spark
    jvm.options    of every JVM: quick to start, since none of them does the work itself
    postgres.sql   the two databases and their users, made with the volume
    datasets       the dataset files of this deployment: their photos come from its bucket
    env            .env with fresh secrets (on the host, before anything runs)
    bucket         the bucket, if it is missing
    passwords      the file from which Airflow's Simple auth manager takes the admin's password
    healthy        health checks

The standard library alone, and boto3 for the bucket.
"""
