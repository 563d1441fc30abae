"""What charts and contact sheets share."""
