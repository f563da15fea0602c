// page.jsx and its packages as one file for the browser.
import { build } from "esbuild";

await build({
  entryPoints: ["page.jsx"], outfile: "page.js", bundle: true, format: "iife", jsx: "automatic", logLevel: "error",
  // One build of each package: require() must find what import finds, or React's contexts are two.
  mainFields: ["module", "browser", "main"], conditions: ["import"],
  define: { global: "globalThis", "process.env.NODE_ENV": '"production"' },
  loader: { ".woff2": "dataurl", ".woff": "dataurl", ".svg": "dataurl" },
});
