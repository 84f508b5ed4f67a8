"""`python -m apollo.cli`: the same as `apollo`."""

from apollo.cli import main

if __name__ == "__main__":
    main()
