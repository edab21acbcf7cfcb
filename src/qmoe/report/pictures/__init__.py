"""The pictures of the page, by matplotlib."""
