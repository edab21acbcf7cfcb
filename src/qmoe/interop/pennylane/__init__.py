"""From and to PennyLane. What imports it stands in modules of its own, since that takes seconds."""
