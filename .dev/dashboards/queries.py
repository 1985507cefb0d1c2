"""Queries that several rows of the service dashboard share."""

from dashboards.panels import Query

#: the replicas that were chosen
REPLICA = 'namespace=~"$namespace",faregate_dev_fleet=~"$fleet",pod=~"$pod"'


def quantiles(metric: str, labels: str, *quantiles: float, by: str = "") -> list[Query]:
    names = f"{by}, le" if by else "le"
    buckets = f"sum by ({names}) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({quantile}, {buckets})", f"p{quantile * 100:g}{legend}")
        for quantile in quantiles
    ]


def rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"
