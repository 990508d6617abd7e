"""The life of a long call: pictures and video, made by vendors over durable jobs. Start at `conductor.py`.

Only the control process and workers load it; a data process never does.
"""
