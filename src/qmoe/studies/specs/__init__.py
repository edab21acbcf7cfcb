"""What a study file may hold: the base of all specs, models of routers and experts, training, studies."""
