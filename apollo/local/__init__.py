"""What runs on one machine: embedded servers, and the judges of a demonstration."""
