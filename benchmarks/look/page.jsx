// The second renderer: a dashboard as Perses draws it. Made into one file by build.mjs, shown by __main__.py.
import React from "react";
import { createRoot } from "react-dom/client";
import { ThemeProvider } from "@mui/material";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { ChartsProvider, SnackbarProvider, generateChartsTheme, getTheme } from "@perses-dev/components";
import { PluginRegistry, TimeRangeProvider, dynamicImportPluginLoader } from "@perses-dev/plugin-system";
import { Dashboard, DashboardProvider, DatasourceStoreProvider, VariableProvider } from "@perses-dev/dashboards";
import * as prometheus from "@perses-dev/prometheus-plugin";
import * as timeseries from "@perses-dev/timeseries-chart-plugin";
import * as stat from "@perses-dev/stat-chart-plugin";
import * as table from "@perses-dev/table-plugin";
import * as bar from "@perses-dev/bar-chart-plugin";
import * as pie from "@perses-dev/pie-chart-plugin";

// A graph of nodes by what Grafana wants of its two tables: id and title of nodes, id, source and target of edges.
function NodeGraph({ contentDimensions, queryResults }) {
  const [nodes, edges] = queryResults.map((result) => result.data.series.map((one) => ({ ...one.labels, value: one.values.at(-1)?.[1] ?? one.values[0][1] })));
  const wrong = nodes.some((node) => !node.id || !node.title) || edges.some((edge) => !edge.id || !nodes.some((node) => node.id === edge.source) || !nodes.some((node) => node.id === edge.target));
  if (!nodes.length || !edges?.length || wrong) return <p>No data{wrong ? ": a node without id and title, or an edge without two nodes" : ""}</p>;
  const { width, height } = contentDimensions;
  const place = Object.fromEntries(nodes.map((node, i) => [node.id, [width / 2 + width * 0.38 * Math.cos(2 * Math.PI * i / nodes.length), height / 2 + height * 0.36 * Math.sin(2 * Math.PI * i / nodes.length)]]));
  const text = { fill: "#e6e9ee", fontSize: 11, textAnchor: "middle" };
  return <svg width={width} height={height}>
    {edges.map((edge) => { const [[x, y], [u, v]] = [place[edge.source], place[edge.target]]; return <g key={edge.id}><line x1={x} y1={y} x2={u} y2={v} stroke="#667" /><circle cx={u + (x - u) * 0.2} cy={v + (y - v) * 0.2} r={3} fill="#aab" /><text x={u + (x - u) * 0.35} y={v + (y - v) * 0.35} {...text}>{edge.value.toFixed(2)}</text></g>; })}
    {nodes.map((node) => { const [x, y] = place[node.id]; return <g key={node.id}><circle cx={x} cy={y} r={16} fill="#243" stroke="#5fd38a" /><text x={x} y={y + 4} {...text}>{node.value.toFixed(1)}</text><text x={x} y={y + 30} {...text}>{node.title}</text></g>; })}
  </svg>;
}
const own = { NodeGraph: { PanelComponent: NodeGraph, supportedQueryTypes: ["TimeSeriesQuery"], createInitialOptions: () => ({}) }, getPluginModule: () => ({ kind: "PluginModule", metadata: { name: "look", version: "1" }, spec: { plugins: [{ kind: "Panel", spec: { name: "NodeGraph", display: { name: "Node graph" } } }] } }) };

// Where a mark would stand on Grafana's panels, in words.
function Marks({ marks, prometheusUrl, from, to }) {
  const [found, setFound] = React.useState([]);
  React.useEffect(() => { marks.forEach(async ({ query, title }) => {
    const answer = await (await fetch(`${prometheusUrl}/api/v1/query?query=${encodeURIComponent(query)}&time=${to / 1000}`)).json();
    setFound(answer.data.result.map(({ metric, value }) => ({ at: Number(value[1]), title: title.replace(/{{(\w+)}}/g, (_, label) => metric[label] ?? "?") })));
  }); }, []);
  return <p style={{ color: "#c08bff", font: "13px sans-serif", margin: 8 }}>{found.map(({ at, title }) => `${title} ${new Date(at).toISOString()}${at < from || at > to ? " (outside)" : ""}`).join(", ") || "no marks"}</p>;
}

const pluginLoader = dynamicImportPluginLoader([own, prometheus, timeseries, stat, table, bar, pie].map((plugin) => ({ resource: plugin.getPluginModule(), importPlugin: () => Promise.resolve(plugin) })));
const theme = getTheme("dark");
const chartsTheme = generateChartsTheme(theme, {});

function App({ dashboard, marks, prometheusUrl, from, to }) {
  const source = { kind: "GlobalDatasource", metadata: { name: "prometheus" }, spec: { default: true, plugin: { kind: "PrometheusDatasource", spec: { directUrl: prometheusUrl } } } };
  const api = { getDatasource: async () => undefined, getGlobalDatasource: async () => source, listDatasources: async () => [], listGlobalDatasources: async () => [source] };
  return <ThemeProvider theme={theme}><ChartsProvider chartsTheme={chartsTheme}><SnackbarProvider>
    <PluginRegistry pluginLoader={pluginLoader} defaultPluginKinds={{ Panel: "TimeSeriesChart", TimeSeriesQuery: "PrometheusTimeSeriesQuery" }}>
      <QueryClientProvider client={new QueryClient({ defaultOptions: { queries: { refetchOnWindowFocus: false, retry: 0 } } })}>
        <TimeRangeProvider timeRange={{ start: new Date(from), end: new Date(to) }} refreshInterval="0s">
          <VariableProvider initialVariableDefinitions={[]}>
            <DatasourceStoreProvider dashboardResource={dashboard} datasourceApi={api}>
              <DashboardProvider initialState={{ dashboardResource: dashboard, isEditMode: false }}>
                <h1 style={{ color: "white", font: "20px sans-serif", margin: 8 }}>{dashboard.spec.display.name}</h1>
                <Marks {...{ marks, prometheusUrl, from, to }} />
                <Dashboard />
              </DashboardProvider>
            </DatasourceStoreProvider>
          </VariableProvider>
        </TimeRangeProvider>
      </QueryClientProvider>
    </PluginRegistry></SnackbarProvider></ChartsProvider></ThemeProvider>;
}
window.show = (what) => createRoot(document.getElementById("root")).render(<App {...what} />);
