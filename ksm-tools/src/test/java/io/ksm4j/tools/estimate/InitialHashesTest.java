package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.tools.output.CommandFailedException;
import org.junit.jupiter.api.Test;

class InitialHashesTest {

    @Test
    void pagesAreKnownByAddressAndContent() {
        InitialHashes look = new InitialHashes(4096, InitialHashes.CHUNK_BYTES);
        look.page(0x7f00_0000_0000L, 0x1234_5678_0000_0000L);
        look.page(0x7f00_0000_1000L, 0);

        assertThat(look.isSame(0x7f00_0000_0000L, 0x1234_5678_0000_0000L)).isTrue();
        assertThat(look.isSame(0x7f00_0000_1000L, 0)).isTrue();
        assertThat(look.isSame(0x7f00_0000_0000L, 0x1234_567a_0000_0000L)).isFalse();
        assertThat(look.isSame(0x7f00_0000_2000L, 0))
                .as("not there, in a known chunk")
                .isFalse();
        assertThat(look.isSame(0x1000, 0)).as("not there").isFalse();
        assertThat(look.bytes()).isEqualTo(InitialHashes.CHUNK_BYTES);
    }

    @Test
    void itTakesNoMoreRoomThanItHas() {
        InitialHashes look = new InitialHashes(4096, 3 * InitialHashes.CHUNK_BYTES - 1);
        look.page(0, 1);
        look.page(2 << 20, 1);

        assertThatThrownBy(() -> look.page(4 << 20, 1))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageContaining("raise --memory");
        assertThat(look.bytes()).isEqualTo(2 * InitialHashes.CHUNK_BYTES);
    }
}
