"""The kinds of panels, with what they have in common: units, colours, words for no data."""

from typing import Any

from dashboards.board import SOURCE, Json

#: expressions by what their series are called
Queries = dict[str, str]
#: texts that stand for values, each with its colour
Words = dict[str, tuple[str, str]]
#: where a colour begins; the first one at nothing
Steps = list[tuple[float | None, str]]

GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE = "green", "yellow", "orange", "red", "blue", "purple"
#: series that are called by an HTTP status
STATUSES = {"/^2/": GREEN, "/^4/": YELLOW, "/^5/": RED, "/^499$/": BLUE}
_NEUTRAL: Steps = [(None, "text")]


def graph(
    title: str,
    description: str,
    queries: Queries,
    unit: str,
    *,
    width: int = 8,
    height: int = 8,
    stacked: bool = False,
    colours: dict[str, str] | None = None,
    limit: float | None = None,
    highest: float | None = None,
    without: str = "Nothing yet",
) -> Json:
    """Lines over time. `limit` draws a line where it gets bad; `colours` are for names."""
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "never",
        "spanNulls": 120000,
        "axisSoftMin": 0,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    steps: Steps = [(None, "transparent")]
    if limit is not None:
        steps.append((limit, RED))
        custom["thresholdsStyle"] = {"mode": "dashed"}
    defaults = _defaults(unit, without, steps, "palette-classic-by-name") | {"custom": custom}
    if highest is not None:
        defaults["max"] = highest
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull", "max"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    panel = _panel("timeseries", title, description, width, height, defaults, options)
    panel["fieldConfig"]["overrides"] = _coloured(colours or {})
    return panel | {
        "targets": [
            _over_time(letter, expression, legend)
            for letter, (legend, expression) in zip("ABCDEFGH", queries.items(), strict=False)
        ]
    }


def figure(
    title: str,
    description: str,
    expression: str,
    unit: str,
    *,
    steps: Steps = _NEUTRAL,
    words: Words | None = None,
    trend: bool = False,
    width: int = 4,
    without: str = "0",
) -> Json:
    """One number. `words` stand for values, each with its colour."""
    defaults = _defaults(unit, without, steps, "thresholds")
    if words:
        defaults["mappings"] = _mappings(words)
    shown: Json = {
        "colorMode": "value",
        "graphMode": "area" if trend else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "value",
        "wideLayout": True,
    }
    panel = _panel("stat", title, description, width, 4, defaults, shown)
    return panel | {"targets": [(_over_time if trend else _now)("A", expression)]}


def table(
    title: str,
    description: str,
    columns: dict[str, tuple[str, str]],
    *,
    names: dict[str, str],
    width: int = 12,
    height: int = 9,
    sort: str,
    shares: tuple[str, ...] = (),
    without: str = "Nothing yet",
) -> Json:
    """A row for each combination of labels; a column is an expression with its unit.

    `names` are what labels are called at the top of their columns, `shares` are shown as bars.
    """
    queries = dict(zip("ABCDEFGH", columns.values(), strict=False))
    # Grafana names the values of the only query otherwise than those of one among others.
    values = [f"Value #{letter}" for letter in queries] if len(queries) > 1 else ["Value"]
    renamed = dict(zip(values, columns, strict=True))
    order = [*names, *renamed]
    overrides = [_unit(title, unit) for title, (_, unit) in columns.items()]
    overrides += [_bar(title) for title in shares]
    panel = _panel(
        "table",
        title,
        description,
        width,
        height,
        _defaults("short", without, _NEUTRAL, "thresholds")
        | {"custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True}},
        {"showHeader": True, "frameIndex": 0, "sortBy": [{"displayName": sort, "desc": True}]},
    )
    panel["fieldConfig"]["overrides"] = overrides
    panel["targets"] = [
        _now(letter, expression) | {"format": "table"}
        for letter, (expression, _) in queries.items()
    ]
    panel["transformations"] = [
        {"id": "merge", "options": {}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(order)},
                "renameByName": {**names, **renamed},
            },
        },
    ]
    return panel


def timeline(
    title: str,
    description: str,
    expression: str,
    legend: str,
    words: Words,
    *,
    width: int = 8,
    height: int = 8,
    without: str = "Nothing yet",
) -> Json:
    """States over time, a band for each series."""
    panel = _panel(
        "state-timeline",
        title,
        description,
        width,
        height,
        _defaults("short", without, _NEUTRAL, "thresholds")
        | {
            "custom": {"fillOpacity": 70, "lineWidth": 0},
            "mappings": _mappings(words),
        },
        {
            "alignValue": "left",
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": False,
                "calcs": [],
            },
            "mergeValues": True,
            "rowHeight": 0.9,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )
    return panel | {"targets": [_over_time("A", expression, legend)]}


def heatmap(title: str, description: str, expression: str) -> Json:
    """Counts of durations over time, of the buckets of a histogram."""
    panel = _panel(
        "heatmap",
        title,
        description,
        8,
        8,
        {"noValue": "Nothing yet", "custom": {"hideFrom": _NOWHERE}},
        {
            "calculate": False,
            "cellGap": 1,
            "color": {
                "mode": "scheme",
                "scheme": "Blues",
                "fill": "dark-blue",
                "exponent": 0.5,
                "steps": 64,
                "reverse": False,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
        },
    )
    return panel | {"targets": [_over_time("A", expression, "{{le}}") | {"format": "heatmap"}]}


_NOWHERE = {"legend": False, "tooltip": False, "viz": False}


def _panel(
    kind: str,
    title: str,
    description: str,
    width: int,
    height: int,
    defaults: Json,
    options: Json,
) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
    }


def _defaults(unit: str, without: str, steps: Steps, mode: str) -> Json:
    return {
        "unit": unit,
        "noValue": without,
        "color": {"mode": mode},
        "thresholds": _thresholds(steps),
    }


def _over_time(letter: str, expression: str, legend: str = "__auto") -> Json:
    return _target(letter, expression, legend) | {"range": True}


def _now(letter: str, expression: str) -> Json:
    return _target(letter, expression, "__auto") | {"instant": True, "range": False}


def _target(letter: str, expression: str, legend: str) -> Json:
    return {
        "refId": letter,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend,
    }


def _mappings(words: Words) -> list[Json]:
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def _thresholds(steps: Steps) -> Json:
    shown = [{"value": value, "color": colour} for value, colour in steps]
    return {"mode": "absolute", "steps": shown}


def _coloured(colours: dict[str, str]) -> list[Json]:
    return [
        {
            "matcher": {"id": "byRegexp" if name.startswith("/") else "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for name, colour in colours.items()
    ]


def _unit(title: str, unit: str) -> Json:
    properties: list[Any] = [{"id": "unit", "value": unit}]
    return {"matcher": {"id": "byName", "options": title}, "properties": properties}


def _bar(title: str) -> Json:
    steps: Steps = [(None, RED), (0.05, ORANGE), (0.2, GREEN)]
    properties: list[Any] = [
        {"id": "custom.cellOptions", "value": {"type": "gauge", "mode": "basic"}},
        {"id": "thresholds", "value": _thresholds(steps)},
        {"id": "min", "value": 0},
        {"id": "max", "value": 1},
    ]
    return {"matcher": {"id": "byName", "options": title}, "properties": properties}
