"""What a study file may hold: base, routers, studies."""
