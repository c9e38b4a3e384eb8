-- The postgres image runs this once, when its volume is new: two databases, each owned by a user of its own.
-- The passwords come from the environment by \getenv, so that no command line shows them.
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv catalog_password CATALOG_DB_PASSWORD

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE catalog LOGIN PASSWORD :'catalog_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE catalog OWNER catalog;

-- By default every user may connect to every database.
REVOKE CONNECT ON DATABASE airflow, catalog, postgres FROM PUBLIC;
