"""The intake over HTTP: register, hand in, watch; an application of its own beside Dagster."""
