// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** Converts optional numbers to attributes of MBeans: in JMX, null stands for a missing number. */
final class Attributes {

    private Attributes() {}

    static @Nullable Long number(OptionalLong number) {
        return number.isPresent() ? number.getAsLong() : null;
    }

    static @Nullable Double ratio(OptionalDouble ratio) {
        return ratio.isPresent() ? ratio.getAsDouble() : null;
    }
}
