"""What Airflow needs to know of image features: the trigger form, retries, the tasks' bodies, the web page."""
