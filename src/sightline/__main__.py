"""`python -m sightline` is the command line."""

from sightline.cli.main import app

if __name__ == "__main__":
    app()
