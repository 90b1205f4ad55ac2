// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RegionOptionsTest {

    @Test
    void defaultIsMergeableGuardedAndVerified() {
        assertThat(RegionOptions.DEFAULT)
                .isEqualTo(new RegionOptions(
                        "", Marking.MERGEABLE, HugePages.SYSTEM_DEFAULT, false, true, true, Unmerge.CHECKED));
    }

    @Test
    void eachWithMethodChangesOneOption() {
        RegionOptions options = RegionOptions.DEFAULT
                .withName("prices")
                .withMarking(Marking.NEVER)
                .withHugePages(HugePages.AVOID)
                .withPopulate(true)
                .withGuardPages(false)
                .withVerify(false)
                .withUnmerge(Unmerge.STEPWISE);
        assertThat(options)
                .isEqualTo(new RegionOptions(
                        "prices", Marking.NEVER, HugePages.AVOID, true, false, false, Unmerge.STEPWISE));
        assertThat(RegionOptions.DEFAULT.withName("prices").withName("")).isEqualTo(RegionOptions.DEFAULT);
    }

    @Test
    void acceptsNamesOfUpTo79Characters() {
        assertThat(RegionOptions.DEFAULT.withName("x".repeat(79)).name()).hasSize(79);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> RegionOptions.DEFAULT.withName("x".repeat(80)))
                .withMessageContaining("80")
                .withMessageContaining("79");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[", "]", "\\", "$", "`", "\n", "\u0000", "\u007f", "ü", "\uD83D\uDE00"})
    void rejectsNamesThatTheKernelRejects(String bad) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> RegionOptions.DEFAULT.withName("a" + bad))
                .withMessageContaining("at index 1");
    }

    @Test
    void acceptsAllOtherPrintableCharacters() {
        StringBuilder name = new StringBuilder();
        for (char c = ' '; c <= '~'; c++) {
            if ("[]\\$`".indexOf(c) < 0) {
                name.append(c);
            }
        }
        String first = name.substring(0, 45);
        String second = name.substring(45);
        assertThat(RegionOptions.DEFAULT.withName(first).name()).isEqualTo(first);
        assertThat(RegionOptions.DEFAULT.withName(second).name()).isEqualTo(second);
    }

    @Test
    void nullPointerExceptionsNameTheOption() {
        assertThatNullPointerException()
                .isThrownBy(() -> RegionOptions.DEFAULT.withName(null))
                .withMessage("name");
        assertThatNullPointerException()
                .isThrownBy(() -> RegionOptions.DEFAULT.withMarking(null))
                .withMessage("marking");
        assertThatNullPointerException()
                .isThrownBy(() -> RegionOptions.DEFAULT.withHugePages(null))
                .withMessage("hugePages");
        assertThatNullPointerException()
                .isThrownBy(() -> RegionOptions.DEFAULT.withUnmerge(null))
                .withMessage("unmerge");
    }
}
