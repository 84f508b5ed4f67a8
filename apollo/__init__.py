"""Apollo puts releases on fleets of hosts over SSH while they serve traffic."""

__version__ = "0.1.0"
