// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FleetKeyTest {

    @TempDir
    private Path directory;

    private Path file(int bytes, String permissions) throws IOException {
        Path file = Files.write(directory.resolve("key"), new byte[bytes]);
        return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(permissions));
    }

    /** The vector for eight bytes in the reference implementation: key 00 01 ... 0f, message 00 01 ... 07. */
    @Test
    void theKeyedHashIsSipHash() {
        FleetKey key = new FleetKey(0x0706050403020100L, 0x0f0e0d0c0b0a0908L, 0);

        assertThat(key.sipHash(0x0706050403020100L)).isEqualTo(0x93f5f5799a932462L);
    }

    @Test
    void anotherSecretIsAnotherKey() {
        byte[] secret = new byte[32];
        FleetKey one = FleetKey.of(secret);
        FleetKey same = FleetKey.of(secret.clone());
        secret[31] = 1;
        FleetKey other = FleetKey.of(secret);

        assertThat(same.id()).isEqualTo(one.id());
        assertThat(same.hash(7)).isEqualTo(one.hash(7)).isNotNegative();
        assertThat(other.id()).isNotEqualTo(one.id());
        assertThat(other.hash(7)).isNotEqualTo(one.hash(7));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 31, 4097})
    void aFileThatIsNoKeyIsRefused(int bytes) throws IOException {
        Path file = file(bytes, "rw-------");

        assertThatThrownBy(() -> FleetKey.read(file))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageStartingWith(file + " is not a key, which has 32 to 4096 random bytes: create one with ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"rw----r--", "rw-----w-"})
    void aKeyThatEveryUserCanAccessIsRefused(String permissions) throws IOException {
        Path file = file(32, permissions);

        assertThatThrownBy(() -> FleetKey.read(file))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageStartingWith("every user has access to the key in " + file);
    }

    @Test
    void aKeyIsRead() throws IOException {
        assertThat(FleetKey.read(file(32, "r--r-----")).hash(7))
                .isEqualTo(FleetKey.of(new byte[32]).hash(7));
    }
}
