"""What users and Apollo's own tests try deployments on: a fleet of SSH hosts, an application."""
