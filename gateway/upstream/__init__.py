"""The choice of a provider, its connections and its failures; no dialect's spelling."""
