// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.util.regex.Pattern;

/**
 * Numbers as C's {@code long double} has them on x86, with which Redis counts in {@code INCRBYFLOAT}: a binary fraction
 * with 64 significant bits.
 */
final class LongDouble {

    private static final int BITS = 64;

    /** The limit of Redis. Parsing takes time by the square of the length. */
    static final int MAX_LENGTH = 5 << 10;

    /** The decimal places that Redis prints, before it removes zeros at the end. */
    private static final int PLACES = 17;

    /** Larger exponents would take much memory. Redis refuses numbers above about 1e4932. */
    private static final int MAX_EXPONENT = 4932;

    private static final Pattern NUMBER = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d{1,5})?");

    private final BigDecimal value;

    private LongDouble(BigDecimal exact) {
        this.value = rounded(exact);
    }

    /**
     * Parses a decimal number.
     *
     * @throws NumberFormatException if the text is anything else
     */
    static LongDouble parse(String text) {
        if (text.length() > MAX_LENGTH || !NUMBER.matcher(text).matches()) {
            throw new NumberFormatException(text);
        }
        BigDecimal exact = new BigDecimal(text.endsWith(".") ? text + "0" : text);
        if (exact.signum() != 0 && Math.abs((long) exact.precision() - exact.scale()) > MAX_EXPONENT) {
            throw new NumberFormatException(text);
        }
        return new LongDouble(exact);
    }

    LongDouble plus(LongDouble other) {
        return new LongDouble(value.add(other.value));
    }

    /** Rounds to the nearest number with 64 bits; of two, to the even one. */
    private static BigDecimal rounded(BigDecimal exact) {
        if (exact.signum() == 0) {
            return BigDecimal.ZERO;
        }
        // The number times 2^shift has 64 bits, or one more or less.
        int shift = BITS - (int) Math.ceil((exact.precision() - exact.scale()) * Math.log(10) / Math.log(2));
        BigDecimal scaled = times2(exact, shift);
        int bits = scaled.abs().toBigInteger().bitLength();
        shift += BITS - bits;
        return times2(
                new BigDecimal(
                        times2(exact, shift).setScale(0, RoundingMode.HALF_EVEN).toBigInteger()),
                -shift);
    }

    private static BigDecimal times2(BigDecimal number, int exponent) {
        BigDecimal power = new BigDecimal(BigInteger.ONE.shiftLeft(Math.abs(exponent)));
        // A division by a power of two has an exact result.
        return exponent >= 0 ? number.multiply(power) : number.divide(power);
    }

    /** Returns the digits without an exponent, as Redis stores them. */
    @Override
    public String toString() {
        BigDecimal digits = value.setScale(PLACES, RoundingMode.HALF_EVEN).stripTrailingZeros();
        return (digits.signum() == 0 ? BigDecimal.ZERO : digits).toPlainString();
    }
}
