// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Parses sizes such as 64m and 1g. */
public final class SizeConverter implements ITypeConverter<Long> {

    /** Creates a converter; picocli calls this. */
    public SizeConverter() {}

    @Override
    public Long convert(String text) {
        if (!text.matches("[0-9]{1,9}[kmgKMG]?")) {
            throw new TypeConversionException("'" + text + "' is not a size such as 64m or 1g");
        }
        String digits = text.replaceAll("[a-zA-Z]", "");
        int unit = "kmg".indexOf(text.substring(digits.length()).toLowerCase(Locale.ROOT));
        return Long.parseLong(digits) << (digits.equals(text) ? 0 : 10 * (unit + 1));
    }
}
