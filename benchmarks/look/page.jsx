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

const pluginLoader = dynamicImportPluginLoader([prometheus, timeseries, stat, table, bar, pie].map((plugin) => ({ resource: plugin.getPluginModule(), importPlugin: () => Promise.resolve(plugin) })));
const theme = getTheme("dark");
const chartsTheme = generateChartsTheme(theme, {});

function App({ dashboard, prometheusUrl, from, to }) {
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
                <Dashboard />
              </DashboardProvider>
            </DatasourceStoreProvider>
          </VariableProvider>
        </TimeRangeProvider>
      </QueryClientProvider>
    </PluginRegistry></SnackbarProvider></ChartsProvider></ThemeProvider>;
}
window.show = (what) => createRoot(document.getElementById("root")).render(<App {...what} />);
