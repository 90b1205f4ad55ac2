// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { RedisStore } from "connect-redis";
import session from "express-session";
import { createClient } from "redis";
import { until, url } from "./support.mjs";

const client = await createClient({ url })
  .on("error", (error) => assert.fail(error))
  .connect();
await client.flushAll();
const store = new RedisStore({ client, prefix: "app:", ttl: 1000, scanCount: 10 });
const cookie = (millis) => new session.Cookie({ maxAge: millis });

assert.equal(await store.get("none"), null);
await store.set("plain", { cookie: {}, user: "joe" });
assert.deepEqual(await store.get("plain"), { cookie: {}, user: "joe" });
assert.ok((await client.ttl("app:plain")) > 0);

// As express-session does it: with callbacks.
await new Promise((resolve, reject) => {
  store.set("called", { cookie: cookie(60_000), count: 1 }, (error) => {
    assert.equal(error, null);
    store.get("called", (failure, data) => {
      if (failure) {
        reject(failure);
      } else {
        assert.equal(data.count, 1);
        resolve();
      }
    });
  });
});

const ttl = await client.ttl("app:called");
assert.ok(ttl > 0 && ttl <= 60, `TTL ${ttl}`);
await store.touch("called", { cookie: cookie(10_000_000) });
assert.ok((await client.ttl("app:called")) > 60);
await store.set("brief", { cookie: cookie(1) });
await until(async () => (await store.get("brief")) === null);
await store.set("called", { cookie: cookie(-1000) });
assert.equal(await store.get("called"), null);

const ids = Array.from({ length: 100 }, (_, i) => `session${i}`);
await Promise.all(ids.map((id) => store.set(id, { cookie: {}, id: "ignored", name: id })));
await client.set("foreign", "x");
assert.equal(await store.length(), 101);
assert.deepEqual((await store.ids()).sort(), [...ids, "plain"].sort());
const all = await store.all();
assert.deepEqual(all.map((found) => found.id).sort(), [...ids, "plain"].sort());
assert.ok(all.filter((found) => found.id !== "plain").every((found) => found.name === found.id));
await store.destroy("session7");
assert.equal(await store.length(), 100);
await store.clear();
assert.equal(await store.length(), 0);
assert.equal(await client.get("foreign"), "x");
await client.close();
