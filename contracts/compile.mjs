// Compiles the contracts to the artifacts beside them, or (--check) tells which of those differ from a fresh compile.
// Compiler input and output: https://docs.soliditylang.org/en/v0.8.24/using-the-compiler.html
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import solc from "solc";

const SOURCES = ["EkaiControlPlane.sol", "devchain/Multicall3.sol", "devchain/Subcall.sol"];

// Sapphire runs the instructions of `paris`: a later target would emit PUSH0.
const SETTINGS = {
  evmVersion: "paris",
  optimizer: { enabled: true, runs: 1000 },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

// "This declaration shadows": ERC-173 calls the administrator `owner`, the interface calls the owner of a key so.
const ACCEPTED_WARNINGS = new Set(["2519"]);

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const read = (path) => readFileSync(here(path), "utf8");

function compile() {
  const input = {
    language: "Solidity",
    sources: Object.fromEntries(SOURCES.map((path) => [path, { content: read(path) }])),
    settings: SETTINGS,
  };
  const find = (path) => ({ contents: read(path) });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const faults = (output.errors ?? []).filter((fault) => !ACCEPTED_WARNINGS.has(fault.errorCode));
  if (faults.length > 0) throw new Error(faults.map((fault) => fault.formattedMessage).join("\n"));
  return output.contracts;
}

function artifact(path, contracts) {
  const name = path.split("/").at(-1).replace(".sol", "");
  const { abi, evm } = contracts[path][name];
  const { outputSelection, ...settings } = SETTINGS;
  return {
    contractName: name,
    sourceName: path,
    compiler: { name: "solc", version: solc.version().replace(/\.Emscripten.*/, ""), settings },
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
  };
}

const check = process.argv.includes("--check");
const contracts = compile();
for (const path of SOURCES) {
  const target = path.replace(".sol", ".json");
  const fresh = `${JSON.stringify(artifact(path, contracts), null, 2)}\n`;
  if (!check) writeFileSync(here(target), fresh);
  else if (read(target) !== fresh) {
    console.error(`${target} is not what its source compiles to; run: npm run compile`);
    process.exitCode = 1;
  }
}
