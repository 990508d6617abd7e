"""One vendor of media a file, each with its `DRIVER`. What all stand on is `driver.py` above."""
