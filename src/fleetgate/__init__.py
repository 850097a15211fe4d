"""fleetgate: from the factory into the fleet."""

__version__ = "0.1.0"
