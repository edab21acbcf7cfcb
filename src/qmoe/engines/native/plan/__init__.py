"""What is decided before values are known: lowered gates, stages, programs, and how a batch is cut."""
