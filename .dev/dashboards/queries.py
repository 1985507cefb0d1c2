"""Queries that several dashboards share."""

#: the replicas that were chosen
REPLICA = 'namespace=~"$namespace",faregate_dev_fleet=~"$fleet",pod=~"$pod"'
#: the processes of gateways, apart from all else that is scraped
_GATEWAY = 'and on (namespace, pod) faregate_build_info{faregate_dev_fleet!=""}'


def quantiles(metric: str, labels: str, *quantiles: float, by: str = "") -> dict[str, str]:
    """Quantiles of a histogram by their names, `p95` and the like."""
    names = f"{by}, le" if by else "le"
    buckets = f"sum by ({names}) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"p{quantile * 100:g}{legend}": f"histogram_quantile({quantile}, {buckets})"
        for quantile in quantiles
    }


def rate(metric: str, labels: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def rates(metric: str, labels: str, by: str) -> dict[str, str]:
    """A rate for each value of one label."""
    return {f"{{{{{by}}}}}": rate(metric, labels, by)}


def of_gateways(expression: str) -> dict[str, str]:
    """Series of the processes of gateways, by pod."""
    return {"{{pod}}": f"{expression} {_GATEWAY}"}
