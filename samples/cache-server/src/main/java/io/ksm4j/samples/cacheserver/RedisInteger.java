// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

/** Integers as Redis writes them. */
final class RedisInteger {

    private RedisInteger() {}

    /**
     * Parses an integer without plus sign, leading zeros or spaces.
     *
     * @throws NumberFormatException if the text is anything else
     */
    static long parse(String text) {
        long number = Long.parseLong(text);
        if (!Long.toString(number).equals(text)) {
            throw new NumberFormatException(text);
        }
        return number;
    }
}
