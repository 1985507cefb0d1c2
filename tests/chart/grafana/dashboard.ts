// A dashboard as Grafana's own types have it, made strict: a member that Grafana does not know, or a
// value that it does not take, is an error. Panels are told apart by their type, so that options and
// fields of one kind are not taken for those of another.
import type * as grafana from "@grafana/schema";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as stateTimeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// JSON has the values of enumerations, not their members.
type Plain<T> = T extends string
  ? `${T}`
  : T extends (infer Item)[]
    ? Plain<Item>[]
    : T extends object
      ? { [Name in keyof T]: Plain<T[Name]> }
      : T;

// What a query to Prometheus has; @grafana/schema has no type for it.
interface Query {
  refId: string;
  datasource: grafana.DataSourceRef;
  editorMode: "code";
  expr: string;
  legendFormat: string;
  format?: "table" | "heatmap";
  instant?: boolean;
  range?: boolean;
}

interface VariableQuery {
  query: string;
  refId: string;
  qryType: number;
}

type Variable = Omit<grafana.VariableModel, "query"> & { query: string | VariableQuery };

interface Fields<Custom> {
  defaults: Omit<grafana.FieldConfig, "custom"> & { custom?: Partial<Custom> };
  overrides: grafana.FieldConfigSource["overrides"];
}

type Of<Kind extends string, Options, Custom> = Required<
  Pick<grafana.Panel, "id" | "title" | "description" | "datasource" | "gridPos">
> &
  Pick<grafana.Panel, "transformations"> & {
    type: Kind;
    options: Options;
    fieldConfig: Fields<Custom>;
    targets: Query[];
  };

type Panel =
  | Of<"timeseries", timeSeries.Options, timeSeries.FieldConfig>
  | Of<"stat", stat.Options, Record<string, never>>
  | Of<"table", table.Options, table.FieldConfig>
  | Of<"state-timeline", stateTimeline.Options, stateTimeline.FieldConfig>
  | Of<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | Required<Pick<grafana.RowPanel, "id" | "title" | "type" | "collapsed" | "panels" | "gridPos">>;

export type Dashboard = Plain<
  Omit<grafana.Dashboard, "panels" | "templating"> & {
    panels: Panel[];
    templating: { list: Variable[] };
  }
>;
