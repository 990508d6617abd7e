"""One vendor a file."""
