-- Both servers number their tables in a table of the same name, so each has a database of its own.
CREATE DATABASE mirror_prefect;
CREATE DATABASE mirror_mlflow;
