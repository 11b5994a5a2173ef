// The column of @huggingface/hub, unmodified: rows.mjs asked of it.
//
//   node column.mjs MODULES WORLD.json NAME [ROW ...]
//
// MODULES is the folder whose node_modules has the client. Prints one JSON object a line, as every column does.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import { absent, rows } from "./rows.mjs";

const [modules, worldFile, , ...wanted] = process.argv.slice(2);
const ROW_MILLISECONDS = 120_000;
const TOLD_MILLISECONDS = 40_000; // that news may take to the other node

const entry = createRequire(pathToFileURL(join(modules, "node_modules/"))).resolve("@huggingface/hub");
const hub = await import(pathToFileURL(entry));
const world = JSON.parse(await readFile(worldFile, "utf8"));
const scratch = await mkdtemp(join(tmpdir(), "huddle-js-"));

const sha256 = (data) => createHash("sha256").update(data).digest("hex");

// What a row is given: who to ask, what is on the shelf, fresh names.
const t = {
  hub,
  assert,
  sha256,
  scratch,
  noise: randomBytes,
  shelf: world.shelf,
  namespace: world.shelf.namespace,
  model: world.shelf.model.id,
  reader: { hubUrl: world.read },
  anonymous: { hubUrl: world.write },
  writer: { hubUrl: world.write, accessToken: world.token },
  name: (what) => `${world.shelf.namespace}/js-${world.run}-${what}`,
  async repo(what, more = {}) {
    await hub.createRepo({ ...t.writer, repo: t.name(what), ...more });
    return t.name(what);
  },
  async bytes(repo, path, more = {}) {
    const blob = await hub.downloadFile({ ...t.reader, repo, path, ...more });
    assert(blob, `${path} is not there`);
    return Buffer.from(await blob.arrayBuffer());
  },
  async all(generator) {
    const found = [];
    for await (const item of generator) found.push(item);
    return found;
  },
  // Asks until the answer holds: the network is told of a change, it does not know it at once.
  async told(look) {
    for (const end = Date.now() + TOLD_MILLISECONDS; ; await sleep(250)) {
      try {
        return await look();
      } catch (error) {
        if (Date.now() > end) throw error;
      }
    }
  },
  async holds(repo, path, data, more = {}) {
    await t.told(async () => assert.equal(sha256(await t.bytes(repo, path, more)), sha256(data), path));
  },
  // The status and the words of a refusal.
  async refuses(status, text, promise) {
    await assert.rejects(promise, (error) => {
      assert(error instanceof hub.HubApiError, `no HubApiError but ${error}`);
      assert.equal(error.statusCode, status, error.message);
      assert(`${error.message} ${JSON.stringify(error.data)}`.includes(text), `${text} is not in ${error.message}`);
      return true;
    });
  },
};

function within(limit, promise) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`no answer after ${limit} ms`)), limit)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const asked = ([, row]) => wanted.length === 0 || wanted.includes(row);
say({ rows: [...rows, ...absent].filter(asked).map(([subject, row]) => [subject, row]) });
for (const [, row, present] of absent.filter(asked)) {
  const found = present(hub);
  say(found ? { row, cell: "failed", why: "there is one now: ask it" } : { row, cell: "absent" });
}
for (const [, row, run] of rows.filter(asked)) {
  try {
    await within(ROW_MILLISECONDS, run(t));
    say({ row, cell: "passed" });
  } catch (error) {
    say({ row, cell: "failed", why: error.stack ?? String(error) });
  }
}
await rm(scratch, { recursive: true, force: true });
process.exit(0);
