// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;

/** Bars drawn with characters. */
class BarsTest {

    private static final double NONE = Double.NaN;

    @Test
    void aRowHasEightLevelsAndShowsZero() {
        double[] values = {NONE, 0, 1, 2, 3, 4, 5, 6, 7, 8};

        assertThat(Bars.BLOCKS.draw(values, 8, 1)).containsExactly(" ▁▁▂▃▄▅▆▇█");
        assertThat(Bars.ASCII.draw(values, 8, 1)).containsExactly(" __.:-=+*#");
    }

    @Test
    void barsMayHaveSeveralRows() {
        double[] values = {0, 4, 8, 10, 16, 99};

        assertThat(Bars.BLOCKS.draw(values, 16, 2)).containsExactly("   ▂██", "▁▄████");
    }

    @Test
    void usesCharactersOfTheEncoding() {
        assertThat(Bars.of(StandardCharsets.UTF_8)).isEqualTo(Bars.BLOCKS);
        assertThat(Bars.of(StandardCharsets.US_ASCII)).isEqualTo(Bars.ASCII);
        assertThat(Bars.of(StandardCharsets.ISO_8859_1)).isEqualTo(Bars.ASCII);
    }
}
