-- Run once by the postgres image, when its volume is new: two databases, and for each a user who owns it.
-- The passwords come from the environment; \getenv keeps them off every command line.
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv catalog_password CATALOG_DB_PASSWORD

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE catalog LOGIN PASSWORD :'catalog_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE catalog OWNER catalog;

-- By default every user may enter every database.
REVOKE CONNECT ON DATABASE airflow, catalog, postgres FROM PUBLIC;
