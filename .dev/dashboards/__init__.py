"""The Grafana dashboards of the chart, as they are written; `.dev/charts.py` makes the JSON."""

from dashboards.ledger import ledger_and_operator
from dashboards.service import service
from dashboards.usage import usage

#: files of `charts/faregate/dashboards/`, without their suffix
DASHBOARDS = {"usage": usage, "service": service, "ledger-and-operator": ledger_and_operator}
