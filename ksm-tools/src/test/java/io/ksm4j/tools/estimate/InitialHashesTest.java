// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.tools.output.CommandFailedException;
import org.junit.jupiter.api.Test;

class InitialHashesTest {

    @Test
    void comparesPagesByAddressAndContent() {
        InitialHashes hashes = new InitialHashes(4096, InitialHashes.CHUNK_BYTES);
        hashes.page(0x7f00_0000_0000L, 0x1234_5678_0000_0000L);
        hashes.page(0x7f00_0000_1000L, 0);

        assertThat(hashes.isSame(0x7f00_0000_0000L, 0x1234_5678_0000_0000L)).isTrue();
        assertThat(hashes.isSame(0x7f00_0000_1000L, 0)).isTrue();
        assertThat(hashes.isSame(0x7f00_0000_0000L, 0x1234_567a_0000_0000L)).isFalse();
        assertThat(hashes.isSame(0x7f00_0000_2000L, 0))
                .as("missing page of a known chunk")
                .isFalse();
        assertThat(hashes.isSame(0x1000, 0)).as("missing page").isFalse();
        assertThat(hashes.bytes()).isEqualTo(InitialHashes.CHUNK_BYTES);
    }

    @Test
    void usesNoMoreThanTheGivenRoom() {
        InitialHashes hashes = new InitialHashes(4096, 3 * InitialHashes.CHUNK_BYTES - 1);
        hashes.page(0, 1);
        hashes.page(2 << 20, 1);

        assertThatThrownBy(() -> hashes.page(4 << 20, 1))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageContaining("raise --memory");
        assertThat(hashes.bytes()).isEqualTo(2 * InitialHashes.CHUNK_BYTES);
    }
}
