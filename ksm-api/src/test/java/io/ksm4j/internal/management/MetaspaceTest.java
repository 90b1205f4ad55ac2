// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.internal.linux.NativeMappings.Range;
import java.util.List;
import org.junit.jupiter.api.Test;

class MetaspaceTest {

    private static final Range EVERYTHING = new Range(0, Long.MAX_VALUE);

    @Test
    void thisJvmTellsWhereItsMetaspaceIs() {
        assertThat(Metaspace.ranges())
                .isNotEmpty()
                .doesNotContain(EVERYTHING)
                .allSatisfy(range -> assertThat(range.length()).isGreaterThanOrEqualTo(1 << 20));
    }

    @Test
    void anAnswerThatIsNotUnderstoodLeavesNoMemory() {
        assertThat(Metaspace.parse("- node #0: base 0x00007f3dc3000000: reserved=65536.00 KB, committed=1.00 KB"))
                .containsExactly(new Range(0x7f3dc3000000L, 0x7f3dc7000000L));
        assertThat(List.of(
                        "",
                        "none",
                        "- node #0: base 0x00007f3dc3000000: reserved=64.00 MB, committed=1.00 KB",
                        "- node #0: base 0x1000: reserved=4.00 KB, c\n- node #1: base 2000, reserved 4.00 KB"))
                .allSatisfy(answer -> assertThat(Metaspace.parse(answer)).containsExactly(EVERYTHING));
    }
}
