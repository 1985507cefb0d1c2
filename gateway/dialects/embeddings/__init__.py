"""OpenAI Embeddings, towards clients and upstreams."""
