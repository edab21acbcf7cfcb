"""Commands on models of the user's own, which their own Python builds or a store keeps."""
