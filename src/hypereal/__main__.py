"""`python -m hypereal` is the `hypereal` command."""

from hypereal.cli import main

if __name__ == "__main__":
    main()
