// Kubernetes manifests against the published types of their kinds: keys that a type does not know are errors, and so are values.
//
// Usage: node manifests.mjs DIRECTORY_WITH_NODE_MODULES FILE...
//
// TypeScript refuses unknown keys in literals, so each document becomes one, of its kind's type. Patterns and bounds are checked by
// the schemas that come with the types. No published type knows Istio 1.30's TrafficExtension yet: its spec.wasm says what a
// WasmPlugin says in spec, so it is checked as that, and what stands beside by the list below.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [tools, ...files] = process.argv.slice(2);
const require = createRequire(resolve(tools, "package.json"));
const { parseAllDocuments } = require("yaml");
const typescript = require("typescript");

// Packages are found from where the importing file lies.
writeFileSync(join(resolve(tools), "load.mjs"), "export const load = (path) => import(path);");
const { load } = await import(pathToFileURL(join(resolve(tools), "load.mjs")));

const kinds = {
  "extensions.istio.io/v1alpha1 WasmPlugin": "@kubernetes-models/istio/extensions.istio.io/v1alpha1",
  "networking.istio.io/v1alpha3 EnvoyFilter": "@kubernetes-models/istio/networking.istio.io/v1alpha3",
  "networking.istio.io/v1 DestinationRule": "@kubernetes-models/istio/networking.istio.io/v1",
  "networking.istio.io/v1 VirtualService": "@kubernetes-models/istio/networking.istio.io/v1",
  "keda.sh/v1alpha1 ScaledObject": "@kubernetes-models/keda/keda.sh/v1alpha1",
  "batch/v1 CronJob": "kubernetes-models/batch/v1",
  "autoscaling/v2 HorizontalPodAutoscaler": "kubernetes-models/autoscaling/v2",
};
const besideWasm = ["match", "phase", "priority", "selector", "targetRefs"];
const inWasm = ["failStrategy", "imagePullPolicy", "imagePullSecret", "pluginConfig", "pluginName", "sha256", "type", "url", "verificationKey", "vmConfig"];

function asWasmPlugin(document) {
  const { wasm, ...beside } = document.spec;
  const unknown = [
    ...Object.keys(beside).filter((key) => !besideWasm.includes(key)),
    ...Object.keys(wasm ?? {}).filter((key) => !inWasm.includes(key)).map((key) => `wasm.${key}`),
  ];
  if (unknown.length > 0) throw new Error(`spec.${unknown[0]}: a TrafficExtension has no such key`);
  return { ...document, kind: "WasmPlugin", spec: { ...beside, ...wasm } };
}

/** What is wrong with the documents, as [name, text] pairs. */
async function check(named) {
  const wrong = [];
  const source = [];
  const lines = [];
  for (const [name, given] of named) {
    try {
      const document = given.kind === "TrafficExtension" ? asWasmPlugin(given) : given;
      const kind = `${document.apiVersion} ${document.kind}`;
      const path = kinds[kind];
      if (path === undefined) throw new Error(`no type for ${kind}`);
      const module = await load(path);
      new module[document.kind](document).validate();
      const number = source.length / 2;
      source.push(`import type {I${document.kind} as T${number}} from ${JSON.stringify(path)};`);
      // On one line: the number of the line is that of the document.
      source.push(`export const d${number}: T${number} = ${JSON.stringify(document)};`);
      lines[source.length] = name;
    } catch (error) {
      wrong.push([name, error.message]);
    }
  }
  const file = join(resolve(tools), "manifests.ts");
  writeFileSync(file, source.join("\n"));
  const options = { noEmit: true, strict: true, skipLibCheck: true, module: typescript.ModuleKind.NodeNext, moduleResolution: typescript.ModuleResolutionKind.NodeNext, target: typescript.ScriptTarget.ES2022, types: [] };
  const program = typescript.createProgram([file], options);
  for (const found of typescript.getPreEmitDiagnostics(program)) {
    const line = found.file ? found.file.getLineAndCharacterOfPosition(found.start).line + 1 : 0;
    wrong.push([lines[line] ?? "types", typescript.flattenDiagnosticMessageText(found.messageText, " ")]);
  }
  return wrong;
}

const named = files.flatMap((file) => parseAllDocuments(readFileSync(file, "utf8")).map((document) => [file, document.toJS()]));
const wrong = await check(named);
for (const [name, text] of wrong) console.log(`${name}: ${text}`);
// Mistakes are seen: an unknown key, at the top and deep inside, a wrong value, a value against a pattern.
const change = (kind, edit) => {
  const copy = structuredClone(named.find(([, document]) => document.kind === kind)[1]);
  edit(copy);
  return copy;
};
const mistakes = [
  ["phases", change("WasmPlugin", (document) => (document.spec.phases = "AUTHN"))],
  ["modes", change("WasmPlugin", (document) => (document.spec.match[0].modes = "CLIENT"))],
  ["FAIL_RETRY", change("WasmPlugin", (document) => (document.spec.failStrategy = "FAIL_RETRY"))],
  ["failPolicy", change("TrafficExtension", (document) => (document.spec.wasm.failPolicy = "FAIL_OPEN"))],
  ["CLIENTS", change("TrafficExtension", (document) => (document.spec.match = [{ mode: "CLIENTS" }]))],
  ["applyOn", change("EnvoyFilter", (document) => (document.spec.configPatches[0].applyOn = "BOOTSTRAP"))],
  ["maxEjection", change("DestinationRule", (document) => (document.spec.trafficPolicy.outlierDetection.maxEjection = 5))],
  ["targets", change("HorizontalPodAutoscaler", (document) => (document.spec.targets = []))],
  ["backofLimit", change("CronJob", (document) => (document.spec.jobTemplate.spec.backofLimit = 0))],
  ["FORBID", change("CronJob", (document) => (document.spec.concurrencyPolicy = "FORBID"))],
  ["trigger", change("ScaledObject", (document) => (document.spec.triggers[0].query = "up"))],
];
const seen = await check(mistakes);
const missed = mistakes.filter(([name]) => !seen.some(([found]) => found === name));
for (const [name] of missed) console.log(`the mistake ${name} is not seen`);
console.log(`manifests: ${named.length} documents have the types of their kinds, ${mistakes.length - missed.length} of ${mistakes.length} mistakes are seen`);
process.exit(wrong.length + missed.length > 0 ? 1 : 0);
