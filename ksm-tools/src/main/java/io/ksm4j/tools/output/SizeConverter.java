// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads sizes such as 64m and 4g. */
public final class SizeConverter implements ITypeConverter<Long> {

    @Override
    public Long convert(String text) {
        if (!text.matches("[0-9]{1,9}[kmgKMG]?")) {
            throw new TypeConversionException("'" + text + "' is not a size such as 64m or 4g");
        }
        String digits = text.replaceAll("[a-zA-Z]", "");
        int unit = "kmg".indexOf(text.substring(digits.length()).toLowerCase(Locale.ROOT));
        return Long.parseLong(digits) << (digits.equals(text) ? 0 : 10 * (unit + 1));
    }
}
