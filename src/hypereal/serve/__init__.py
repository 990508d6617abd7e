"""The supervisor and the composition roots. Only here are all capabilities named."""
