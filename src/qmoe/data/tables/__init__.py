"""Tables of a user's own: reading, labels, checks, and what a store keeps of them."""
