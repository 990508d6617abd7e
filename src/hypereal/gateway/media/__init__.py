"""The life of a long call: pictures, video and speech, made by vendors over durable jobs. Start at `conductor.py`.

Only the control process and workers load it; a data process never does.
"""
