// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
import { createServer, connect } from "node:net";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

/** The address of the server under test, with the password. */
export const url = process.argv[2];

/** Every byte there is. */
export const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

/** Waits until an asynchronous condition holds. The Java test limits how long. */
export async function until(condition) {
  while (!(await condition())) {
    await delay(20);
  }
}

/** Passes connections on to the server, and can break them. */
export class Proxy {
  #sockets = new Set();
  #listener = createServer((client) => {
    const { hostname, port } = new URL(url);
    const server = connect(Number(port), hostname);
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.#sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });

  /** Returns the address that clients use instead of that of the server. */
  async start() {
    this.#listener.listen(0, "127.0.0.1");
    await once(this.#listener, "listening");
    const through = new URL(url);
    through.port = this.#listener.address().port;
    return through.href;
  }

  breakConnections() {
    this.#sockets.forEach((socket) => socket.destroy());
  }

  stop() {
    this.#listener.close();
    this.breakConnections();
  }
}
