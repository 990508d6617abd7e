"""The hand-written HTTP plane: grammar, server, upstream pool, TLS, server-sent events.

Knows no dialect and no price.
"""
