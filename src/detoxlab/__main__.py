"""`python -m detoxlab`: the command line."""

from detoxlab.cli import main

if __name__ == "__main__":
    main()
