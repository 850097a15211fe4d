"""`python -m fleetgate`"""

from fleetgate.cli.main import app

if __name__ == "__main__":
    app(prog_name="fleetgate")
