"""Entry points of the MLflow Project, one module each: parse the parameters, call tfbs."""
