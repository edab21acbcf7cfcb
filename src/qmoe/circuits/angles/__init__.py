"""What angles of gates are: expressions, and functions that torch traced."""
