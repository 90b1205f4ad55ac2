// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import KeyvRedis, { createKeyv } from "@keyv/redis";
import Keyv from "keyv";
import { binary, until, url } from "./support.mjs";

const options = { throwOnErrors: true };
const users = createKeyv(url, { ...options, namespace: "users" });
const posts = createKeyv(url, { ...options, namespace: "posts", clearBatchSize: 10, useUnlink: false });

assert.equal(await users.set("joe", { name: "Joe", age: 42 }), true);
assert.deepEqual(await users.get("joe"), { name: "Joe", age: 42 });
assert.equal(await users.get("none"), undefined);
await users.set("bytes", binary);
assert.deepEqual(await users.get("bytes"), binary);
await users.set("nothing", null);
assert.equal(await users.get("nothing"), null);
assert.equal(await posts.has("joe"), false);
assert.equal(await users.has("joe"), true);

await users.set("brief", "x", 1);
await until(async () => (await users.has("brief")) === false);
await users.set("lasting", "x", 1_000_000);
assert.equal(await users.get("lasting"), "x");

const expiring = (i) => (i % 2 ? 1_000_000 : undefined);
await posts.setMany(Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, value: i, ttl: expiring(i) })));
assert.deepEqual(await posts.getMany(["0", "99", "none"]), [0, 99, undefined]);
assert.deepEqual(await posts.hasMany(["0", "none"]), [true, false]);
const found = new Map();
for await (const [key, value] of posts.iterator()) {
  found.set(key, value);
}
assert.deepEqual(found, new Map(Array.from({ length: 100 }, (_, i) => [`${i}`, i])));

assert.equal(await users.delete("joe"), true);
assert.equal(await users.delete("joe"), false);
assert.equal(await posts.deleteMany(["0", "1"]), true);
await posts.clear();
assert.equal(await posts.get("99"), undefined);
assert.equal(await users.get("lasting"), "x");

// Without a namespace, all keys of the database.
const all = createKeyv(url, { ...options, noNamespaceAffectsAll: true });
await all.set("joe", "plain");
assert.equal(await all.get("joe"), "plain");
await all.clear();
assert.equal(await users.get("lasting"), undefined);

// The adapter in a Keyv of its own, whose prefix is part of each key.
const prefixed = new Keyv({ store: new KeyvRedis(url), namespace: "app" });
await prefixed.set("joe", "prefixed");
assert.equal(await prefixed.get("joe"), "prefixed");
assert.equal(await all.get("joe"), undefined);
await Promise.all([users, posts, all, prefixed].map((keyv) => keyv.disconnect()));
