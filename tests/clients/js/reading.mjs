// What is read at the other node. The names of the rows are those of the Python rows that ask the same.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

const LARGE = "weights/large.bin";

export const downloads = {
  async "one file comes alone"(t) {
    t.assert.equal(t.sha256(await t.bytes(t.model, "config.json")), t.shelf.model.files["config.json"].sha256);
  },
  async "a large file comes whole"(t) {
    t.assert.equal(t.sha256(await t.bytes(t.model, LARGE)), t.shelf.model.files[LARGE].sha256);
  },
  async "a large file comes in parts at once"(t) {
    const data = await t.bytes(t.model, LARGE, { parallelDownloads: true });
    t.assert.equal(t.sha256(data), t.shelf.model.files[LARGE].sha256);
  },
  // Not of the model: this client does not escape a `?` or `#` in the name of a file it asks for.
  async "a snapshot is byte identical"(t) {
    const repo = { type: "dataset", name: t.shelf.data.id };
    const folder = await t.hub.snapshotDownload({ ...t.reader, repo, cacheDir: join(t.scratch, "cache") });
    for (const [path, { sha256 }] of Object.entries(t.shelf.data.files)) {
      t.assert.equal(t.sha256(await readFile(join(folder, path))), sha256, path);
    }
    const names = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => !entry.isDirectory());
    t.assert.equal(names.filter(({ name }) => name !== ".gitattributes").length, Object.keys(t.shelf.data.files).length);
  },
  async "one file lands in the cache"(t) {
    const cacheDir = join(t.scratch, "one");
    const path = await t.hub.downloadFileToCacheDir({ ...t.reader, repo: t.model, path: LARGE, cacheDir });
    t.assert.equal(t.sha256(await readFile(path)), t.shelf.model.files[LARGE].sha256);
    t.assert.equal((await stat(join(cacheDir, `models--${t.model.replace("/", "--")}`, "blobs", t.shelf.model.files[LARGE].sha256))).size, 20_000_000);
  },
  async "a pinned revision stays what it was"(t) {
    const data = await t.bytes(t.model, "README.md", { revision: t.shelf.model.first });
    t.assert.equal(data.toString(), t.shelf.model.first_readme);
  },
  async "a branch with a slash is a revision"(t) {
    t.assert.equal((await t.bytes(t.model, "branch.txt", { revision: "feature/one" })).toString(), "only here\n");
  },
  async "a tag is a revision"(t) {
    t.assert.equal((await t.bytes(t.model, "README.md", { revision: "v1" })).toString(), t.shelf.model.first_readme);
  },
  async "a full reference is a revision"(t) {
    t.assert.equal((await t.bytes(t.model, "branch.txt", { revision: "refs/heads/feature/one" })).toString(), "only here\n");
  },
  async "a file of a dataset comes"(t) {
    const data = await t.bytes({ type: "dataset", name: t.shelf.data.id }, "data/train.csv");
    t.assert.equal(data.toString(), "text,label\ngood,1\nbad,0\n");
  },
  async "a file of a space comes"(t) {
    t.assert.equal((await t.bytes({ type: "space", name: t.shelf.page.id }, "index.html")).toString(), "<h1>page</h1>\n");
  },
  async "metadata of a file are its true hashes"(t) {
    for (const [path, kind] of [[LARGE, "sha256"], ["config.json", "git"]]) {
      const info = await t.hub.fileDownloadInfo({ ...t.reader, repo: t.model, path });
      t.assert.equal(info.etag, `"${t.shelf.model.files[path][kind]}"`, path);
      t.assert.equal(info.size, t.shelf.model.files[path].size, path);
    }
  },
  async "a pointer is what git has of a large file"(t) {
    const { sha256, size } = t.shelf.model.files[LARGE];
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`;
    t.assert.equal((await t.bytes(t.model, LARGE, { raw: true })).toString(), pointer);
    const config = await t.bytes(t.model, "config.json", { raw: true });
    t.assert.equal(t.sha256(config), t.shelf.model.files["config.json"].sha256);
  },
};

export const missing = {
  async "a missing repository has its exception"(t) {
    const repo = `${t.namespace}/never-made`;
    await t.refuses(404, "", t.hub.modelInfo({ ...t.reader, name: repo }));
    await t.refuses(404, "", t.all(t.hub.listFiles({ ...t.reader, repo })));
  },
  async "a missing revision has its exception"(t) {
    await t.refuses(404, "", t.all(t.hub.listFiles({ ...t.reader, repo: t.model, revision: "no-such-branch" })));
    await t.refuses(404, "", t.all(t.hub.listCommits({ ...t.reader, repo: t.model, revision: "no/such/branch" })));
  },
  async "a missing file has its exception"(t) {
    t.assert.equal(await t.hub.downloadFile({ ...t.reader, repo: t.model, path: "no-such-file.json" }), null);
  },
  async "a missing folder has its exception"(t) {
    await t.refuses(404, "", t.all(t.hub.listFiles({ ...t.reader, repo: t.model, path: "no/such/folder" })));
  },
};

export const info = {
  async "a file exists or not"(t) {
    const ask = (path, revision) => t.hub.fileExists({ ...t.reader, repo: t.model, path, revision });
    t.assert.deepEqual([await ask("config.json"), await ask(LARGE), await ask("no.json")], [true, true, false]);
    t.assert.deepEqual([await ask("branch.txt"), await ask("branch.txt", "feature/one")], [false, true]);
  },
  async "a repository exists or not"(t) {
    const ask = (repo) => t.hub.repoExists({ ...t.reader, repo });
    t.assert.equal(await ask(t.model), true);
    t.assert.equal(await ask({ type: "dataset", name: t.shelf.data.id }), true);
    t.assert.equal(await ask(`${t.namespace}/never-made`), false);
  },
  async "a model tells what its card says"(t) {
    const model = await t.hub.modelInfo({ ...t.reader, name: t.model, additionalFields: ["cardData", "tags", "sha", "author"] });
    t.assert.deepEqual([model.name, model.author, model.sha, model.task, model.private, model.gated],
      [t.model, t.namespace, t.shelf.model.sha, "text-classification", false, false]);
    t.assert.deepEqual([model.cardData.license, model.cardData.datasets], ["mit", ["imdb"]]);
    for (const tag of ["license:mit", "en", "transformers", "dataset:imdb"]) t.assert(model.tags.includes(tag), tag);
  },
  async "a model tells its dates"(t) {
    const { updatedAt } = await t.hub.modelInfo({ ...t.reader, name: t.model });
    t.assert(Math.abs(Date.now() - updatedAt) < 7_200_000, `not written just now: ${updatedAt}`);
  },
  async "a model of a revision is that of then"(t) {
    const model = await t.hub.modelInfo({ ...t.reader, name: t.model, revision: "v1", additionalFields: ["sha"] });
    t.assert.equal(model.sha, t.shelf.model.first);
  },
  async "the parameters of a model are counted"(t) {
    const { safetensors } = await t.hub.modelInfo({ ...t.reader, name: t.model, additionalFields: ["safetensors"] });
    t.assert.deepEqual([safetensors.total, safetensors.parameters], [1010, { F32: 1010 }]);
  },
  async "the configuration of a model is summed up"(t) {
    const { config } = await t.hub.modelInfo({ ...t.reader, name: t.model, additionalFields: ["config"] });
    t.assert.equal(config.model_type, "bert");
  },
  async "a dataset tells what its card says"(t) {
    const data = await t.hub.datasetInfo({ ...t.reader, name: t.shelf.data.id, additionalFields: ["tags", "sha"] });
    t.assert.deepEqual([data.name, data.sha], [t.shelf.data.id, t.shelf.data.sha]);
    t.assert(data.tags.includes("task_categories:text-classification"), data.tags);
  },
  async "a space tells what its card says"(t) {
    const space = await t.hub.spaceInfo({ ...t.reader, name: t.shelf.page.id });
    t.assert.deepEqual([space.name, space.sdk], [t.shelf.page.id, "static"]);
  },
  async "safetensors are described"(t) {
    const parsed = await t.hub.parseSafetensorsMetadata({ ...t.reader, repo: t.model, computeParametersCount: true });
    t.assert.deepEqual([parsed.sharded, parsed.parameterCount, parsed.header.bias.shape], [false, { F32: 1010 }, [10]]);
  },
  async "sharded safetensors are described"(t) {
    const parsed = await t.hub.parseSafetensorsMetadata({ ...t.reader, repo: t.shelf.sharded.id, computeParametersCount: true });
    t.assert.deepEqual([parsed.sharded, parsed.parameterCount], [true, { F32: 4000 }]);
  },
};

export const trees = {
  async "a tree is listed with all below"(t) {
    const entries = await t.all(t.hub.listFiles({ ...t.reader, repo: t.model, recursive: true }));
    const files = new Map(entries.filter(({ type }) => type === "file").map((entry) => [entry.path, entry]));
    files.delete(".gitattributes");
    t.assert.deepEqual([...files.keys()].sort(), Object.keys(t.shelf.model.files).sort());
    for (const [path, entry] of files) {
      const { size, sha256, git } = t.shelf.model.files[path];
      t.assert.deepEqual([entry.size, entry.lfs?.oid ?? entry.oid], [size, entry.lfs ? sha256 : git], path);
    }
    const folders = entries.filter(({ type }) => type === "directory").map(({ path }) => path);
    t.assert.deepEqual(folders.sort(), ["docs", "docs/naïve café", "weights"]);
  },
  async "eleven hundred files are listed"(t) {
    const entries = await t.all(t.hub.listFiles({ ...t.reader, repo: t.shelf.many.id, recursive: true }));
    const files = entries.filter(({ type, path }) => type === "file" && path !== ".gitattributes");
    t.assert.equal(new Set(files.map(({ path }) => path)).size, 1100);
  },
  async "a folder is listed alone"(t) {
    const entries = await t.all(t.hub.listFiles({ ...t.reader, repo: t.model, path: "weights" }));
    t.assert.deepEqual(entries.map(({ path }) => path).sort(), [LARGE, "weights/small.bin"]);
  },
  async "a tree tells who changed what last"(t) {
    const entries = await t.all(t.hub.listFiles({ ...t.reader, repo: t.model, expand: true }));
    const last = Object.fromEntries(entries.map(({ path, lastCommit }) => [path, lastCommit.title]));
    t.assert.deepEqual([last["README.md"], last["config.json"]], ["Second", "First"]);
  },
  async "paths are looked up"(t) {
    const paths = ["README.md", "weights", LARGE, "no/such.file"];
    const found = await t.hub.pathsInfo({ ...t.reader, repo: t.model, paths });
    const types = Object.fromEntries(found.map(({ path, type }) => [path, type]));
    t.assert.deepEqual(types, { "README.md": "file", weights: "directory", [LARGE]: "file" });
    t.assert.equal(found.find(({ path }) => path === LARGE).lfs.oid, t.shelf.model.files[LARGE].sha256);
  },
  async "paths are looked up with their last change"(t) {
    const [readme] = await t.hub.pathsInfo({ ...t.reader, repo: t.model, paths: ["README.md"], expand: true });
    t.assert.deepEqual([readme.lastCommit.id, readme.lastCommit.title], [t.shelf.model.sha, "Second"]);
  },
  async "commits are listed newest first"(t) {
    const commits = await t.all(t.hub.listCommits({ ...t.reader, repo: t.model }));
    t.assert.deepEqual(commits.slice(0, 2).map(({ oid }) => oid), [t.shelf.model.sha, t.shelf.model.first]);
    t.assert.deepEqual([commits[0].title, commits[0].message.trim()], ["Second", "Why it was done."]);
    const paged = await t.all(t.hub.listCommits({ ...t.reader, repo: t.model, batchSize: 1 }));
    t.assert.deepEqual(paged.map(({ oid }) => oid), commits.map(({ oid }) => oid), "page by page");
  },
  async "commits are counted"(t) {
    const commits = await t.all(t.hub.listCommits({ ...t.reader, repo: t.model }));
    t.assert.equal(await t.hub.countCommits({ ...t.reader, repo: t.model }), commits.length);
  },
};

export const filesystem = {
  async "any range of a large file is right"(t) {
    const blob = await t.hub.downloadFile({ ...t.reader, repo: t.model, path: LARGE });
    const content = await readFile(join(t.shelf.model.folder, LARGE));
    for (const [start, end] of [[0, 8], [16_383, 16_385], [12_345_678, 12_345_778], [19_999_984, 20_000_000]]) {
      const data = Buffer.from(await blob.slice(start, end).arrayBuffer());
      t.assert.equal(t.sha256(data), t.sha256(content.subarray(start, end)), `bytes ${start}..${end}`);
    }
  },
};

export const lists = {
  async "models of an author are listed"(t) {
    const names = (await t.all(t.hub.listModels({ ...t.anonymous, search: { owner: t.namespace } }))).map(({ name }) => name);
    for (const { id } of [t.shelf.model, t.shelf.sharded, t.shelf.many]) t.assert(names.includes(id), id);
    t.assert(names.every((name) => name.startsWith(`${t.namespace}/`)), names.join());
  },
  async "models are found by a part of their name"(t) {
    const found = await t.all(t.hub.listModels({ ...t.anonymous, search: { query: t.model.split("/")[1].slice(2) } }));
    t.assert.deepEqual(found.map(({ name }) => name), [t.model]);
  },
  async "models are filtered by their task"(t) {
    const ask = (task) => t.all(t.hub.listModels({ ...t.anonymous, search: { owner: t.namespace, task } }));
    t.assert((await ask("text-classification")).some(({ name }) => name === t.model));
    t.assert.deepEqual(await ask("text-to-video"), []);
  },
  async "a list ends at its limit"(t) {
    t.assert.equal((await t.all(t.hub.listModels({ ...t.anonymous, search: { owner: t.namespace }, limit: 2 }))).length, 2);
  },
  async "a list tells more on request"(t) {
    const search = { query: t.model.split("/")[1] };
    const [model] = await t.all(t.hub.listModels({ ...t.anonymous, search, additionalFields: ["sha", "tags"] }));
    t.assert.equal(model.sha, t.shelf.model.sha);
    t.assert(model.tags.includes("license:mit"));
  },
  async "datasets are listed"(t) {
    const found = await t.all(t.hub.listDatasets({ ...t.anonymous, search: { query: t.shelf.data.id.split("/")[1] } }));
    t.assert.deepEqual(found.map(({ name }) => name), [t.shelf.data.id]);
  },
  async "spaces are listed"(t) {
    const found = await t.all(t.hub.listSpaces({ ...t.anonymous, search: { query: t.shelf.page.id.split("/")[1] } }));
    t.assert.deepEqual(found.map(({ name, sdk }) => [name, sdk]), [[t.shelf.page.id, "static"]]);
  },
};
