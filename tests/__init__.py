"""Apollo's tests."""
