// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import java.util.Collection;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/** Writes JSON (RFC 8259) in US-ASCII, which every encoding preserves. */
public final class Json {

    private final StringBuilder text = new StringBuilder();

    private Json() {}

    /**
     * Returns a value as one line of JSON.
     *
     * @param value a map with string keys, a collection, a string, an enum constant, a number, a boolean, an optional
     *     of those, or null; an empty optional and a number that is not finite become null
     * @throws IllegalArgumentException if the value is or contains anything else
     */
    public static String of(@Nullable Object value) {
        Json json = new Json();
        json.append(value);
        return json.text.toString();
    }

    private void append(@Nullable Object value) {
        if (value == null) {
            text.append("null");
        } else if (value instanceof Map<?, ?> map) {
            append(map);
        } else if (value instanceof Collection<?> collection) {
            append(collection);
        } else if (value instanceof String string) {
            append(string);
        } else if (value instanceof Enum<?> constant) {
            append(constant.name());
        } else if (value instanceof Double number && !Double.isFinite(number)) {
            text.append("null");
        } else if (value instanceof Number || value instanceof Boolean) {
            text.append(value);
        } else if (value instanceof Optional<?> optional) {
            append(optional.orElse(null));
        } else if (value instanceof OptionalInt optional) {
            append(optional.isPresent() ? (Object) optional.getAsInt() : null);
        } else if (value instanceof OptionalLong optional) {
            append(optional.isPresent() ? (Object) optional.getAsLong() : null);
        } else if (value instanceof OptionalDouble optional) {
            append(optional.isPresent() ? (Object) optional.getAsDouble() : null);
        } else {
            throw new IllegalArgumentException("no JSON for a " + value.getClass());
        }
    }

    private void append(Map<?, ?> map) {
        text.append('{');
        Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
        while (entries.hasNext()) {
            Map.Entry<?, ?> entry = entries.next();
            append((String) entry.getKey());
            text.append(": ");
            append(entry.getValue());
            text.append(entries.hasNext() ? ", " : "");
        }
        text.append('}');
    }

    private void append(Collection<?> collection) {
        text.append('[');
        Iterator<?> values = collection.iterator();
        while (values.hasNext()) {
            append(values.next());
            text.append(values.hasNext() ? ", " : "");
        }
        text.append(']');
    }

    private void append(String string) {
        text.append('"');
        for (int i = 0; i < string.length(); i++) {
            char c = string.charAt(i);
            if (c == '"' || c == '\\') {
                text.append('\\').append(c);
            } else if (c >= ' ' && c <= '~') {
                text.append(c);
            } else {
                text.append(String.format("\\u%04x", (int) c));
            }
        }
        text.append('"');
    }
}
