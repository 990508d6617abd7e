"""The data plane: the life of one call is `pipeline.py`, top to bottom."""
