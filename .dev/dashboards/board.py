"""The parts of a dashboard: variables, rows, and a grid that fills itself from left to right."""

from typing import Any

Json = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
#: the oldest Grafana that is known to read this is 10.4
_SCHEMA_VERSION = 39


def datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "options": [],
    }


def variable(name: str, label: str, query: str, description: str, regex: str = "") -> Json:
    """Values of a label, any number of them; All also takes series that lack the label."""
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": SOURCE,
        "query": {
            "query": query,
            "refId": "PrometheusVariableQueryEditor-VariableQuery",
            "qryType": 1,
        },
        "regex": regex,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def namespace(metric: str) -> Json:
    return variable(
        "namespace",
        "Installation",
        f"label_values({metric}, namespace)",
        "The namespace in which Faregate is installed.",
    )


def board(
    name: str,
    title: str,
    description: str,
    variables: list[Json],
    rows: dict[str, list[Json]],
    since: str = "now-6h",
) -> Json:
    """A dashboard. Panels know how wide and high they are, and this where they stand."""
    return {
        "uid": f"faregate-{name}",
        "title": title,
        "description": description,
        "tags": ["faregate"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timezone": "",
        "links": [_others()],
        "templating": {"list": [datasource(), *variables]},
        "panels": _placed(rows),
    }


def _others() -> Json:
    return {
        "type": "dashboards",
        "title": "Faregate",
        "tags": ["faregate"],
        "icon": "external link",
        "tooltip": "",
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _placed(rows: dict[str, list[Json]]) -> list[Json]:
    placed: list[Json] = []
    top = 0
    for title, panels in rows.items():
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        row = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        placed.append(row)
        top += 1
        left = height = 0
        for panel in panels:
            width, high = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if left + width > _COLUMNS:
                left, top, height = 0, top + height, 0
            placed.append({**panel, "gridPos": {"x": left, "y": top, "w": width, "h": high}})
            left, height = left + width, max(height, high)
        top += height
    return [{"id": number, **panel} for number, panel in enumerate(placed, 1)]
