"""Long trials of qmoe itself: what people and machines do to it that a test of seconds cannot show.

``python -m endurance all`` runs every campaign; ``--write`` replaces the committed record.
"""
