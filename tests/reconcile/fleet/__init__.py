"""GatewayFleets: what is rendered, what is planned, and stories against a real API server."""
