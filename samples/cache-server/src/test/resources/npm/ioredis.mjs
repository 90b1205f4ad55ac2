// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { Redis } from "ioredis";
import { binary, Proxy, until, url } from "./support.mjs";

async function values(redis) {
  assert.equal(await redis.set("greeting", "hello"), "OK");
  assert.equal(await redis.get("greeting"), "hello");
  assert.equal(await redis.get("none"), null);
  assert.equal(await redis.set("greeting", "again", "NX"), null);
  assert.equal(await redis.mset({ a: "1", b: "2" }), "OK");
  assert.deepEqual(await redis.mget("a", "none", "b"), ["1", null, "2"]);
  assert.equal(await redis.incr("a"), 2);
  assert.equal(await redis.del("a", "b", "none"), 2);

  await redis.set(binary, binary);
  assert.deepEqual(await redis.getBuffer(binary), binary);
  const long = Buffer.alloc(1_000_000, binary);
  await redis.set("long", long);
  assert.deepEqual(await redis.getBuffer("long"), long);
}

async function expiry(redis) {
  await redis.set("key", "value", "EX", 1000);
  const ttl = await redis.ttl("key");
  assert.ok(ttl > 0 && ttl <= 1000, `TTL ${ttl}`);
  assert.equal(await redis.pexpire("key", 1), 1);
  await until(async () => (await redis.exists("key")) === 0);
}

async function pipelines(redis) {
  const pipeline = redis.pipeline();
  for (let i = 0; i < 2000; i++) {
    pipeline.incr("counter");
  }
  // An error is the result of its own command only.
  pipeline.lpush("list", "x").get("counter");
  const results = await pipeline.exec();
  assert.deepEqual(results.slice(0, 2000), Array.from({ length: 2000 }, (_, i) => [null, i + 1]));
  assert.match(results[2000][0].message, /^ERR unknown command 'lpush'/);
  assert.deepEqual(results[2001], [null, "2000"]);
}

async function automaticPipelines() {
  const redis = new Redis(url, { enableAutoPipelining: true });
  await redis.set("auto", "0");
  assert.deepEqual(await Promise.all([redis.incr("auto"), redis.incr("auto"), redis.get("auto")]), [1, 2, "2"]);
  await redis.quit();
}

async function transactions(redis) {
  assert.deepEqual(await redis.multi().set("t", "1").incr("t").exec(), [[null, "OK"], [null, 2]]);

  // Without a pipeline, each command is sent at once.
  await redis.multi({ pipeline: false });
  assert.equal(await redis.set("t", "2"), "QUEUED");
  assert.deepEqual(await redis.exec(), [[null, "OK"]]);

  const other = redis.duplicate();
  await redis.watch("t");
  await other.set("t", "changed");
  assert.equal(await redis.multi().set("t", "lost").exec(), null);
  assert.equal(await redis.get("t"), "changed");
  await other.quit();

  await assert.rejects(redis.multi().lpush("list", "x").exec(), /EXECABORT/);
}

async function scans(redis) {
  const names = Array.from({ length: 250 }, (_, i) => `scan:${i}`);
  await redis.mset(names.flatMap((name) => [name, "x"]));
  const found = new Set();
  for await (const keys of redis.scanStream({ match: "scan:*", count: 20 })) {
    keys.forEach((key) => found.add(key));
  }
  assert.deepEqual(found, new Set(names));
  await redis.select(3);
  assert.equal(await redis.dbsize(), 0);
  await redis.select(2);
}

async function prefixes() {
  const redis = new Redis(url, { keyPrefix: "app:" });
  await redis.mset("a", "1", "b", "2");
  assert.deepEqual(await redis.mget("a", "b"), ["1", "2"]);
  assert.deepEqual((await redis.keys("app:*")).sort(), ["app:a", "app:b"]);
  await redis.quit();
}

async function theServer(redis) {
  assert.match(await redis.info(), /redis_version:/);
  assert.deepEqual(await redis.config("GET", "databases"), ["databases", "16"]);
  assert.equal(await redis.client("GETNAME"), "tester");
  assert.equal((await redis.command("INFO", "get"))[0][0], "get");
  redis.defineCommand("one", { numberOfKeys: 0, lua: "return 1" });
  await assert.rejects(redis.one(), /ERR unknown command 'eval'/);
}

async function reconnects() {
  const proxy = new Proxy();
  const redis = new Redis(await proxy.start(), { db: 2 });
  redis.on("error", () => {});
  await redis.set("kept", "value");
  const ready = new Promise((resolve) => redis.once("ready", resolve));
  proxy.breakConnections();
  // Waits in the queue of the client until it is connected, in the same database and with the password.
  assert.equal(await redis.get("kept"), "value");
  await ready;
  await redis.quit();
  proxy.stop();
}

const redis = new Redis(url, { db: 2, connectionName: "tester" });
redis.on("error", (error) => assert.fail(error));
await redis.flushall();
await values(redis);
await expiry(redis);
await pipelines(redis);
await automaticPipelines();
await transactions(redis);
await scans(redis);
await prefixes();
await theServer(redis);
await redis.quit();
await reconnects();

const stranger = new Redis(url.replace(/:[^:@]*@/, ":wrong@"), { retryStrategy: null, lazyConnect: true });
const refused = new Promise((resolve) => stranger.once("error", resolve));
await assert.rejects(stranger.connect());
assert.match((await refused).message, /WRONGPASS/);
