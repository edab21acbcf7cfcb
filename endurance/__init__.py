"""Studies on trial: what kills, damage and poison do to them, tried many times and recorded.

``python -m endurance all`` runs every campaign; ``--write`` replaces the committed record.
"""
