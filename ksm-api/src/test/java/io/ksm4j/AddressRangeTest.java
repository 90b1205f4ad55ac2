// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AddressRangeTest {

    @ParameterizedTest
    @ValueSource(longs = {0, -1, Long.MIN_VALUE})
    void rejectsALengthThatIsNotPositive(long length) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new AddressRange(0x1000, length))
                .withMessageContaining(Long.toString(length));
    }

    @ParameterizedTest
    @ValueSource(longs = {-1, -4096, Long.MIN_VALUE})
    void rejectsAddressesInTheKernelsHalf(long start) {
        assertThatThrownBy(() -> new AddressRange(start, 4096))
                .isInstanceOf(InvalidRangeException.class)
                .hasMessageContaining("0x" + Long.toHexString(start))
                .hasMessageContaining("kernel's half");
    }

    @Test
    void rejectsARangeThatWrapsAround() {
        assertThatThrownBy(() -> new AddressRange(Long.MAX_VALUE - 4095, 4097))
                .isInstanceOf(InvalidRangeException.class)
                .hasMessageContaining("wraps around");
        assertThat(new AddressRange(Long.MAX_VALUE - 4096, 4096).end()).isEqualTo(Long.MAX_VALUE);
    }

    @Test
    void doesNotContainItsEnd() {
        AddressRange range = AddressRange.between(0x1000, 0x3000);
        assertThat(range.length()).isEqualTo(0x2000);
        assertThat(range.contains(0xfff)).isFalse();
        assertThat(range.contains(0x1000)).isTrue();
        assertThat(range.contains(0x2fff)).isTrue();
        assertThat(range.contains(0x3000)).isFalse();
    }

    @Test
    void sortsByStartThenLength() {
        AddressRange first = new AddressRange(0x1000, 0x1000);
        AddressRange longer = new AddressRange(0x1000, 0x2000);
        AddressRange later = new AddressRange(0x2000, 0x1000);
        assertThat(first).isLessThan(longer).isLessThan(later);
        assertThat(longer).isLessThan(later);
        assertThat(first).isEqualByComparingTo(new AddressRange(0x1000, 0x1000));
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1 bytes",
        "1023, 1023 bytes",
        "4096, 4 KiB",
        "1049600, 1025 KiB",
        "2097152, 2 MiB",
        "3221225472, 3 GiB"
    })
    void formatsLikeMapsWithTheSize(long length, String size) {
        assertThat(new AddressRange(0x7f00a000L, length))
                .hasToString("7f00a000-" + Long.toHexString(0x7f00a000L + length) + " (" + size + ")");
    }
}
