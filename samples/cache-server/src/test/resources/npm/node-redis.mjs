// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createClient, ErrorReply, RESP_TYPES, WatchError } from "redis";
import { binary, Proxy, until, url } from "./support.mjs";

async function values(client) {
  assert.equal(await client.set("greeting", "hello"), "OK");
  assert.equal(await client.get("greeting"), "hello");
  assert.equal(await client.get("none"), null);
  assert.equal(await client.set("greeting", "again", { condition: "NX" }), null);
  assert.equal(await client.set("greeting", "again", { condition: "XX", GET: true }), "hello");
  assert.equal(await client.mSet({ a: "1", b: "2" }), "OK");
  assert.deepEqual(await client.mGet(["a", "none", "b"]), ["1", null, "2"]);
  assert.equal(await client.incr("a"), 2);
  assert.equal(await client.incrByFloat("b", 0.5), "2.5");
  assert.equal(await client.append("greeting", "!"), 6);
  assert.equal(await client.getRange("greeting", 0, 4), "again");
  assert.equal(await client.strLen("greeting"), 6);
  assert.equal(await client.getDel("greeting"), "again!");
  assert.equal(await client.exists(["a", "b", "greeting"]), 2);
  assert.equal(await client.rename("a", "c"), "OK");
  assert.equal(await client.type("c"), "string");
  assert.equal(await client.unlink(["b", "c"]), 2);

  const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  await client.set(binary, binary);
  assert.deepEqual(await buffers.get(binary), binary);
  const long = Buffer.alloc(1_000_000, binary);
  await client.set("long", long);
  assert.deepEqual(await buffers.get("long"), long);
}

async function expiry(client) {
  await client.set("key", "value", { expiration: { type: "EX", value: 1000 } });
  const ttl = await client.ttl("key");
  assert.ok(ttl > 0 && ttl <= 1000, `TTL ${ttl}`);
  assert.equal(await client.persist("key"), 1);
  assert.equal(await client.ttl("key"), -1);
  assert.equal(await client.expire("key", 1000, "NX"), 1);
  assert.equal(await client.getEx("key", { type: "PX", value: 1 }), "value");
  await until(async () => (await client.get("key")) === null);
  assert.equal(await client.ttl("key"), -2);
}

async function pipelines(client) {
  const replies = await Promise.all(Array.from({ length: 2000 }, () => client.incr("counter")));
  assert.deepEqual(replies, Array.from({ length: 2000 }, (_, i) => i + 1));
  assert.deepEqual(await client.multi().set("p", "1").get("p").execAsPipeline(), ["OK", "1"]);
}

async function transactions(client) {
  assert.deepEqual(await client.multi().set("t", "1").incr("t").get("none").exec(), ["OK", 2, null]);

  const other = client.duplicate();
  await other.connect();
  await client.watch("t");
  await other.set("t", "changed");
  await assert.rejects(client.multi().set("t", "lost").exec(), WatchError);
  assert.equal(await client.get("t"), "changed");
  await other.close();
}

async function scans(client) {
  const names = new Set(Array.from({ length: 250 }, (_, i) => `scan:${i}`));
  await client.mSet([...names].map((name) => [name, "x"]));
  const found = new Set();
  for await (const keys of client.scanIterator({ MATCH: "scan:*", COUNT: 20, TYPE: "string" })) {
    keys.forEach((key) => found.add(key));
  }
  assert.deepEqual(found, names);
  assert.deepEqual(new Set(await client.keys("scan:*")), names);
  await client.select(3);
  assert.equal(await client.dbSize(), 0);
  await client.select(2);
}

async function theServer(client) {
  assert.equal(await client.ping(), "PONG");
  assert.match(await client.info("server"), /redis_version:/);
  assert.deepEqual({ ...(await client.configGet("databases")) }, { databases: "16" });
  assert.equal(await client.clientGetName(), "tester");
  assert.ok((await client.commandList()).includes("get"));
  assert.equal((await client.commandInfo(["get"]))[0].name, "get");
  await assert.rejects(client.lPush("list", "x"), (error) => {
    assert.ok(error instanceof ErrorReply);
    return error.message.startsWith("ERR unknown command 'LPUSH'");
  });
  await assert.rejects(client.eval("return 1"), /ERR unknown command 'EVAL'/);
}

async function reconnects(RESP) {
  const proxy = new Proxy();
  const client = createClient({ url: await proxy.start(), RESP, database: 2 });
  client.on("error", () => {});
  await client.connect();
  await client.set("kept", "value");
  const ready = new Promise((resolve) => client.once("ready", resolve));
  proxy.breakConnections();
  await ready;
  // In the same database, and with the password.
  assert.equal(await client.get("kept"), "value");
  await client.close();
  proxy.stop();
}

for (const RESP of [2, 3]) {
  const client = await createClient({ url, RESP, name: "tester", database: 2 })
    .on("error", (error) => assert.fail(error))
    .connect();
  await client.flushAll();
  await values(client);
  await expiry(client);
  await pipelines(client);
  await transactions(client);
  await scans(client);
  await theServer(client);
  await client.close();
  await reconnects(RESP);
}

const stranger = createClient({ url: url.replace(/:[^:@]*@/, ":wrong@"), socket: { reconnectStrategy: false } });
stranger.on("error", () => {});
await assert.rejects(stranger.connect(), /WRONGPASS/);
