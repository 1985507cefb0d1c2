"""Pure rules: credits, specs, models and prices, keys, the request, its events and errors."""
