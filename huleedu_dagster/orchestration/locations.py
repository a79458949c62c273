"""Where Dagster finds the definitions, and under which name it shows them."""

LOCATION = "huleedu"
MODULE = "huleedu_dagster.definitions"
