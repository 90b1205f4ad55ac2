// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Machines have pages of 4 KiB, 16 KiB (Apple silicon, some aarch64) or 64 KiB (aarch64, ppc64le). */
class PageSizeTest {

    @ParameterizedTest
    @ValueSource(longs = {4 << 10, 16 << 10, 64 << 10})
    void roundsAllocationsToTheMachinesPages(long page) {
        ScriptedBackend backend = new ScriptedBackend(page);
        Ksm ksm = Ksm.with(backend);

        try (MergeRegion region = ksm.allocate(page + 1)) {
            assertThat(region.size()).isEqualTo(2 * page);
            assertThat(backend.calls("mmap")).containsExactly("mmap " + 4 * page);
            assertThat(backend.calls("mprotect")).containsExactly("mprotect " + hex(region.address(), 2 * page));

            region.markUnmergeable(page, page);
            assertThat(backend.calls("madvise 13")).containsExactly("madvise 13 " + hex(region.address() + page, page));
            assertThatThrownBy(() -> region.markMergeable(page / 2, page))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(Long.toString(page));
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {4 << 10, 16 << 10, 64 << 10})
    void adoptsWholePagesOfTheMachine(long page) {
        Ksm ksm = Ksm.with(new ScriptedBackend(page));
        RegionOptions unverified = RegionOptions.DEFAULT.withVerify(false);
        long start = 1L << 40;

        try (MergeRegion region = ksm.adopt(start + 1, 3 * page, unverified)) {
            assertThat(region.range()).isEqualTo(new AddressRange(start + page, 2 * page));
        }
        assertThatThrownBy(() -> ksm.adopt(start + 1, page, unverified)).isInstanceOf(InvalidRangeException.class);
    }

    private static String hex(long address, long length) {
        return Long.toHexString(address) + "-" + Long.toHexString(address + length);
    }
}
