"""Upstreams that speak Gemini's `generateContent`: Google."""
