"""What results say, without HTML and without pictures."""
