// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.Needed;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Tests the server with clients for Node.js. There is a script for each, which ends with status 0 if the client works.
 * {@code npm} installs them next to the copies of the scripts in {@code target}.
 */
@Tag("long")
class NodeClientsTest {

    private static Path scripts;

    @BeforeAll
    static void install() throws URISyntaxException {
        Needed.program("node", "nodejs");
        Needed.program("npm", "npm");
        scripts = Path.of(Objects.requireNonNull(NodeClientsTest.class.getResource("/npm/package-lock.json"))
                        .toURI())
                .getParent();
        EndedProcess npm = run(
                "npm",
                "ci",
                "--prefix",
                scripts.toString(),
                "--ignore-scripts",
                "--prefer-offline",
                "--no-audit",
                "--no-fund");
        Needed.require(npm.exitStatus() == 0, "npm cannot install the clients: " + npm);
    }

    private static EndedProcess run(String... command) {
        List<String> all = new ArrayList<>(List.of(
                "env",
                // Node.js would keep it in the directory for temporary files.
                "NODE_DISABLE_COMPILE_CACHE=1",
                "timeout",
                Long.toString(PATIENCE.toSeconds())));
        all.addAll(List.of(command));
        return EndedProcess.run(all);
    }

    @ParameterizedTest
    @ValueSource(strings = {"node-redis", "ioredis", "keyv", "connect-redis"})
    void worksWithoutChanges(String client, @TempDir Path directory) throws Exception {
        Path password = Files.writeString(directory.resolve("password"), "secret");
        try (ServerUnderTest running = new ServerUnderTest(
                "--max-memory", "64m", "--io-threads", "2", "--password-file", password.toString())) {
            EndedProcess node = run(
                    "node",
                    scripts.resolve(client + ".mjs").toString(),
                    "redis://:secret@127.0.0.1:" + running.server.port());

            assertThat(node).isEqualTo(new EndedProcess(0, "", ""));
        }
    }
}
