"""The operations listener: `/healthz`, `/readyz` and `/metrics`, apart from the clients' port."""

from collections.abc import Callable

from fastapi import FastAPI, Response

from gateway.telemetry.metrics import Metrics


def operations_app(metrics: Metrics, why_not_ready: Callable[[], str | None]) -> FastAPI:
    """An application of its own; `why_not_ready` answers None when the replica is ready."""
    app = FastAPI(openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> Response:
        return Response("ok\n", media_type="text/plain")

    @app.get("/readyz")
    async def readyz() -> Response:
        reason = why_not_ready()
        return Response(
            "ready\n" if reason is None else f"{reason}\n",
            status_code=200 if reason is None else 503,
            media_type="text/plain",
        )

    @app.get("/metrics")
    async def show_metrics() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=1.0.0; charset=utf-8")

    return app
