// What is asked of @huggingface/hub, and what it cannot do.

import { downloads, filesystem, info, lists, missing, trees } from "./reading.mjs";
import { account, commits, references, repos, uploads } from "./writing.mjs";

const subjects = { downloads, missing, info, trees, filesystem, lists, account, repos, uploads, commits, references };

/** Subject, name, function. */
export const rows = Object.entries(subjects).flatMap(([subject, asked]) =>
  Object.entries(asked).map(([row, run]) => [subject, row, run]));

/** What this client cannot do, with what would show that it can. */
export const absent = [
  ["trees", "branches and tags are listed", (hub) => hub.listRefs],
  ["repos", "a renamed repository answers to both names", (hub) => hub.moveRepo],
  ["repos", "a private repository is opened and closed", (hub) => hub.updateRepoSettings],
  ["references", "a tag stays at its commit", (hub) => hub.createTag],
  ["references", "a deleted tag is gone", (hub) => hub.deleteTag],
  ["references", "a history is squashed", (hub) => hub.superSquashHistory],
  ["lists", "tags are listed by type", (hub) => hub.listModelTags],
];
