"""Commands about devices and their noise."""
