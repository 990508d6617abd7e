"""The local provider: a small real model in a child process, so that all works with no key and no internet.

`python -m hypereal.serve.local_model` is the child. `prompt.py` reads what agents send, `engine.py` runs the model,
`answer.py` completes what the engine says, `front.py` is the HTTP in between.
"""
