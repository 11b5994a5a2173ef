// What is written at one gateway, and read at that of the other node.

const STALE = "The branch was updated since you opened this page. Please refresh and try again.";

export const account = {
  async "a token says who somebody is"(t) {
    const who = await t.hub.whoAmI(t.writer);
    t.assert.deepEqual([who.name, who.type, who.auth.accessToken.role], [t.namespace, "user", "write"]);
  },
  async "an unknown token is nobody"(t) {
    await t.refuses(401, "", t.hub.whoAmI({ ...t.anonymous, accessToken: `hf_${"x".repeat(34)}` }));
  },
  async "access is checked"(t) {
    await t.hub.checkRepoAccess({ ...t.reader, repo: t.model });
    await t.assert.rejects(t.hub.checkRepoAccess({ ...t.reader, repo: `${t.namespace}/never-made` }));
  },
};

export const repos = {
  async "a new repository reaches the other node"(t) {
    const made = await t.hub.createRepo({ ...t.writer, repo: t.name("new") });
    t.assert.equal(made.repoUrl, `${t.writer.hubUrl}/${t.name("new")}`);
    await t.told(async () => t.assert.equal((await t.hub.modelInfo({ ...t.reader, name: t.name("new") })).name, t.name("new")));
  },
  async "a repository is made with files in it"(t) {
    const repo = await t.repo("filled", { files: [{ path: "one.txt", content: new Blob(["one"]) }] });
    await t.holds(repo, "one.txt", "one");
  },
  async "a dataset and a space are made"(t) {
    const data = await t.hub.createRepo({ ...t.writer, repo: { type: "dataset", name: t.name("kinds") } });
    const space = await t.hub.createRepo({ ...t.writer, repo: { type: "space", name: t.name("kinds") }, sdk: "static" });
    t.assert.deepEqual([data.repoUrl, space.repoUrl].map((url) => url.replace(t.writer.hubUrl, "")),
      [`/datasets/${t.name("kinds")}`, `/spaces/${t.name("kinds")}`]);
  },
  async "a repository is not made twice"(t) {
    const repo = await t.repo("twice");
    await t.refuses(409, "You already created this model repo", t.hub.createRepo({ ...t.writer, repo }));
  },
  async "a deleted repository is gone"(t) {
    const repo = await t.repo("deleted");
    await t.hub.deleteRepo({ ...t.writer, repo });
    t.assert.equal(await t.hub.repoExists({ ...t.anonymous, repo }), false);
  },
  async "a private repository is invisible"(t) {
    const repo = await t.repo("private", { private: true });
    t.assert.equal((await t.hub.modelInfo({ ...t.writer, name: repo })).private, true);
    t.assert.equal(await t.hub.repoExists({ ...t.anonymous, repo }), false);
    t.assert.equal(await t.hub.repoExists({ ...t.reader, repo }), false);
  },
};

const put = (t, repo, path, content, more = {}) =>
  t.hub.uploadFile({ ...t.writer, repo, file: { path, content: new Blob([content]) }, ...more });

export const uploads = {
  async "a small file goes up"(t) {
    const repo = await t.repo("small");
    const { commit } = await put(t, repo, "notes.txt", "a small file\n");
    const { sha } = await t.hub.modelInfo({ ...t.writer, name: repo, additionalFields: ["sha"] });
    t.assert.deepEqual([commit.oid, commit.url], [sha, `${t.writer.hubUrl}/${repo}/commit/${sha}`]);
    await t.holds(repo, "notes.txt", "a small file\n");
  },
  async "ten thousand bytes go up"(t) {
    const [repo, data] = [await t.repo("ten-thousand"), t.noise(10_000)];
    await put(t, repo, "small.bin", data);
    await t.holds(repo, "small.bin", data);
  },
  async "twenty megabytes go up"(t) {
    const [repo, data] = [await t.repo("large"), t.noise(20_000_000)];
    await put(t, repo, "large.bin", data);
    await t.holds(repo, "large.bin", data);
    const [file] = await t.hub.pathsInfo({ ...t.writer, repo, paths: ["large.bin"] });
    t.assert.deepEqual([file.size, file.lfs.oid], [20_000_000, t.sha256(data)]);
  },
  async "twenty megabytes go up by LFS"(t) {
    const [repo, data] = [await t.repo("lfs"), t.noise(20_000_000)];
    await put(t, repo, "large.bin", data, { useXet: false });
    await t.holds(repo, "large.bin", data);
  },
  async "an empty file goes up"(t) {
    const repo = await t.repo("empty");
    await put(t, repo, "empty.bin", "");
    const [file] = await t.hub.pathsInfo({ ...t.writer, repo, paths: ["empty.bin"] });
    t.assert.equal(file.size, 0);
  },
  async "odd file names go up"(t) {
    const repo = await t.repo("odd");
    const paths = ["ünï/çø dé.txt", "100% #1 + what?.txt", "日本/名前.bin", "a&b=c;d.txt"];
    const files = paths.map((path) => ({ path, content: new Blob([path]) }));
    await t.hub.uploadFiles({ ...t.writer, repo, files });
    const entries = await t.all(t.hub.listFiles({ ...t.writer, repo, recursive: true }));
    const listed = entries.filter(({ type, path }) => type === "file" && path !== ".gitattributes").map(({ path }) => path);
    t.assert.deepEqual(listed.sort(), [...paths].sort());
    await t.holds(repo, "ünï/çø dé.txt", "ünï/çø dé.txt");
  },
  async "the same content goes up under two names"(t) {
    const [repo, data] = [await t.repo("double"), t.noise(12_000_000)];
    const files = ["one.bin", "two.bin"].map((path) => ({ path, content: new Blob([data]) }));
    await t.hub.uploadFiles({ ...t.writer, repo, files });
    for (const path of ["one.bin", "two.bin"]) await t.holds(repo, path, data);
  },
  async "a file goes up to a dataset and to a space"(t) {
    for (const [type, more] of [["dataset", {}], ["space", { sdk: "static" }]]) {
      const [repo, data] = [{ type, name: t.name("kinds-up") }, t.noise(11_000_000)];
      await t.hub.createRepo({ ...t.writer, repo, ...more });
      await put(t, repo, "data.bin", data);
      await t.holds(repo, "data.bin", data);
    }
  },
  async "an upload tells how far it is"(t) {
    const [repo, data] = [await t.repo("progress"), t.noise(11_000_000)];
    const files = [{ path: "large.bin", content: new Blob([data]) }];
    const events = await t.all(t.hub.uploadFilesWithProgress({ ...t.writer, repo, files }));
    t.assert.deepEqual(events.filter(({ event }) => event === "phase").map(({ phase }) => phase),
      ["preuploading", "uploadingLargeFiles", "committing"]);
    await t.holds(repo, "large.bin", data);
  },
};

export const commits = {
  async "a commit adds and deletes"(t) {
    const repo = await t.repo("steps");
    await t.hub.uploadFiles({ ...t.writer, repo, files: ["old.txt", "kept.txt"].map((path) => ({ path, content: new Blob([path]) })) });
    const operations = [{ operation: "addOrUpdate", path: "new.txt", content: new Blob(["new"]) }, { operation: "delete", path: "old.txt" }];
    await t.hub.commit({ ...t.writer, repo, title: "All at once", description: "And why.", operations });
    await t.told(async () => {
      const entries = await t.all(t.hub.listFiles({ ...t.reader, repo }));
      t.assert.deepEqual(entries.map(({ path }) => path).filter((path) => path !== ".gitattributes").sort(), ["kept.txt", "new.txt"]);
    });
    const [newest] = await t.all(t.hub.listCommits({ ...t.writer, repo }));
    t.assert.deepEqual([newest.title, newest.message.trim(), newest.authors[0].username], ["All at once", "And why.", t.namespace]);
  },
  async "a stale parent is refused"(t) {
    const repo = await t.repo("stale");
    const first = (await put(t, repo, "one.txt", "one")).commit.oid;
    await put(t, repo, "two.txt", "two", { parentCommit: first });
    await t.refuses(412, STALE, put(t, repo, "three.txt", "three", { parentCommit: first }));
    t.assert.equal(await t.hub.fileExists({ ...t.anonymous, repo, path: "three.txt" }), false);
  },
  async "a deleted file is gone"(t) {
    const repo = await t.repo("gone");
    await put(t, repo, "one.txt", "one");
    await t.hub.deleteFile({ ...t.writer, repo, path: "one.txt" });
    t.assert.equal(await t.hub.fileExists({ ...t.anonymous, repo, path: "one.txt" }), false);
  },
  async "a missing file is not deleted"(t) {
    const repo = await t.repo("not-there");
    await t.refuses(404, "A file with this name doesn't exist", t.hub.deleteFile({ ...t.writer, repo, path: "no.txt" }));
  },
  async "files that match are deleted"(t) {
    const repo = await t.repo("several");
    await t.hub.uploadFiles({ ...t.writer, repo, files: ["a", "b", "c"].map((path) => ({ path, content: new Blob([path]) })) });
    await t.hub.deleteFiles({ ...t.writer, repo, paths: ["a", "b"] });
    const entries = await t.all(t.hub.listFiles({ ...t.writer, repo }));
    t.assert.deepEqual(entries.map(({ path }) => path).filter((path) => path !== ".gitattributes"), ["c"]);
  },
  async "a commit to what is missing is refused"(t) {
    const repo = await t.repo("no-branch");
    await t.refuses(404, "", put(t, repo, "x.txt", "x", { branch: "no-such-branch" }));
    await t.refuses(404, "", put(t, `${t.namespace}/never-made`, "x.txt", "x"));
  },
  async "commits at once lose nothing"(t) {
    const repo = await t.repo("at-once");
    const paths = Array.from({ length: 8 }, (_, number) => `${number}.txt`);
    await Promise.all(paths.map((path) => put(t, repo, path, path)));
    for (const path of paths) await t.holds(repo, path, path);
  },
};

export const references = {
  async "a branch starts where main is"(t) {
    const repo = await t.repo("branch");
    await put(t, repo, "one.txt", "one");
    await t.hub.createBranch({ ...t.writer, repo, branch: "work/in-progress" });
    await t.holds(repo, "one.txt", "one", { revision: "work/in-progress" });
  },
  async "a branch starts at a revision"(t) {
    const repo = await t.repo("branch-old");
    const first = (await put(t, repo, "one.txt", "one")).commit.oid;
    await put(t, repo, "one.txt", "two");
    await t.hub.createBranch({ ...t.writer, repo, branch: "old", revision: first });
    await t.holds(repo, "one.txt", "one", { revision: "old" });
  },
  async "a branch is not made twice"(t) {
    const repo = await t.repo("branch-twice");
    await t.hub.createBranch({ ...t.writer, repo, branch: "twice" });
    await t.refuses(409, "Reference refs/heads/twice already exists", t.hub.createBranch({ ...t.writer, repo, branch: "twice" }));
  },
  async "a branch is made anew"(t) {
    const repo = await t.repo("branch-anew");
    await t.hub.createBranch({ ...t.writer, repo, branch: "again" });
    await put(t, repo, "one.txt", "one");
    await t.hub.createBranch({ ...t.writer, repo, branch: "again", overwrite: true });
    await t.holds(repo, "one.txt", "one", { revision: "again" });
  },
  async "a branch moves without main"(t) {
    const repo = await t.repo("side");
    await t.hub.createBranch({ ...t.writer, repo, branch: "side" });
    await put(t, repo, "side.txt", "side", { branch: "side" });
    await t.holds(repo, "side.txt", "side", { revision: "side" });
    t.assert.equal(await t.hub.fileExists({ ...t.anonymous, repo, path: "side.txt" }), false);
  },
  async "a deleted branch is gone"(t) {
    const repo = await t.repo("branch-gone");
    await t.hub.createBranch({ ...t.writer, repo, branch: "short-lived" });
    await t.hub.deleteBranch({ ...t.writer, repo, branch: "short-lived" });
    await t.refuses(404, "", t.all(t.hub.listCommits({ ...t.anonymous, repo, revision: "short-lived" })));
  },
  async "main is not deleted"(t) {
    const repo = await t.repo("main");
    await t.assert.rejects(t.hub.deleteBranch({ ...t.writer, repo, branch: "main" }), /Cannot delete refs\/heads\/main/);
    t.assert.equal(await t.hub.countCommits({ ...t.anonymous, repo, revision: "main" }), 1);
  },
};
