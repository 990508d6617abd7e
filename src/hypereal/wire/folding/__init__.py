"""A stream as the plain answer it stands for, and back: for upstreams that give the one where the other was asked."""
