// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * A range of virtual addresses.
 *
 * @param start the address of the first byte; not negative, because user space ends below 2<sup>63</sup>
 * @param length the length in bytes, at least 1
 * @since 0.1.0
 */
public record AddressRange(long start, long length) implements Comparable<AddressRange>, Serializable {

    /**
     * Creates a range.
     *
     * @throws IllegalArgumentException if {@code length} is not positive
     * @throws InvalidRangeException if the start is in the kernel's half of the address space or the range wraps around
     */
    public AddressRange {
        if (length <= 0) {
            throw new IllegalArgumentException("length " + length + " is not positive: pass at least 1 byte");
        }
        if (start < 0) {
            throw new InvalidRangeException("address 0x" + Long.toHexString(start)
                    + " is in the kernel's half of the address space: pass an address of this process");
        }
        if (start + length < 0) {
            throw new InvalidRangeException("0x" + Long.toHexString(start) + " plus " + length
                    + " bytes wraps around the address space: check the length");
        }
    }

    static AddressRange between(long start, long end) {
        return new AddressRange(start, end - start);
    }

    /** {@return the first address after the range: start plus length} */
    public long end() {
        return start + length;
    }

    /**
     * Returns whether an address is in this range.
     *
     * @param address any address
     * @return true if it is
     */
    public boolean contains(long address) {
        return address >= start && address < end();
    }

    /** Compares by start, then by length. */
    @Override
    public int compareTo(AddressRange other) {
        int byStart = Long.compare(start, other.start);
        return byStart != 0 ? byStart : Long.compare(length, other.length);
    }

    // Those generated for a record load dozens of classes on first use, and make the JDK keep the class loader until
    // memory is short.

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof AddressRange that && start == that.start && length == that.length;
    }

    @Override
    public int hashCode() {
        return 31 * Long.hashCode(start) + Long.hashCode(length);
    }

    /**
     * {@return the range in the format of {@code /proc/self/maps}, with its size, as in
     * {@code 7f00a000-7f00c000 (8 KiB)}}
     */
    @Override
    public String toString() {
        return Long.toHexString(start) + "-" + Long.toHexString(end()) + " (" + humanSize(length) + ")";
    }

    private static String humanSize(long bytes) {
        if (bytes % (1L << 30) == 0) {
            return (bytes >> 30) + " GiB";
        }
        if (bytes % (1L << 20) == 0) {
            return (bytes >> 20) + " MiB";
        }
        if (bytes % (1L << 10) == 0) {
            return (bytes >> 10) + " KiB";
        }
        return bytes + " bytes";
    }
}
