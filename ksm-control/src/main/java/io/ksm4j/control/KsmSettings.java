// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Values for some of the settings of {@code ksmd}. Immutable, and safe for use by multiple threads.
 *
 * <pre>{@code
 * KsmSettings fast = KsmSettings.EMPTY
 *         .with(KsmSetting.PAGES_TO_SCAN, 5000)
 *         .with(KsmSetting.SLEEP_MILLISECS, 20)
 *         .with(KsmSetting.RUN, 1);
 * }</pre>
 *
 * @since 0.1.0
 */
public final class KsmSettings {

    /** A value for no setting. */
    public static final KsmSettings EMPTY = new KsmSettings(Map.of());

    private final Map<KsmSetting, Long> values;

    private KsmSettings(Map<KsmSetting, Long> values) {
        Map<KsmSetting, Long> copy = new EnumMap<>(KsmSetting.class);
        copy.putAll(values);
        this.values = Collections.unmodifiableMap(copy);
    }

    /**
     * Returns a copy of these settings with one more value, which replaces any value that the setting has here.
     *
     * @param setting the setting
     * @param value its value
     * @return a copy with the value
     * @throws IllegalArgumentException if the value is outside the range of the setting
     */
    public KsmSettings with(KsmSetting setting, long value) {
        setting.requireInRange(value);
        return withUnchecked(setting, value);
    }

    /** As {@link #with(KsmSetting, long)}, for values read from the kernel, which may be outside the range. */
    KsmSettings withUnchecked(KsmSetting setting, long value) {
        Map<KsmSetting, Long> more = new EnumMap<>(KsmSetting.class);
        more.putAll(values);
        more.put(setting, value);
        return new KsmSettings(more);
    }

    KsmSettings without(KsmSetting setting) {
        Map<KsmSetting, Long> fewer = new EnumMap<>(KsmSetting.class);
        fewer.putAll(values);
        fewer.remove(setting);
        return new KsmSettings(fewer);
    }

    /**
     * Returns a copy of these settings with the values of others, which replace those here.
     *
     * @param others the other settings
     * @return a copy with the values of both
     */
    public KsmSettings with(KsmSettings others) {
        Map<KsmSetting, Long> more = new EnumMap<>(KsmSetting.class);
        more.putAll(values);
        more.putAll(others.values);
        return new KsmSettings(more);
    }

    /**
     * Returns a copy restricted to the settings that have a value in others, too. With {@link KsmDaemon#settings()} as
     * the argument, these are the settings that this kernel has.
     *
     * @param others the other settings; their values do not matter
     * @return a copy without the settings that the others lack
     */
    public KsmSettings presentIn(KsmSettings others) {
        Map<KsmSetting, Long> present = new EnumMap<>(KsmSetting.class);
        present.putAll(values);
        present.keySet().retainAll(others.values.keySet());
        return new KsmSettings(present);
    }

    /**
     * Returns the value of a setting.
     *
     * @param setting the setting
     * @return the value; empty if there is none here
     */
    public OptionalLong get(KsmSetting setting) {
        Long value = values.get(setting);
        return value == null ? OptionalLong.empty() : OptionalLong.of(value);
    }

    /**
     * Returns all values, in the order in which {@link KsmSetting} declares the settings.
     *
     * @return an unmodifiable map
     */
    public Map<KsmSetting, Long> values() {
        return values;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof KsmSettings settings && values.equals(settings.values);
    }

    @Override
    public int hashCode() {
        return values.hashCode();
    }

    /** {@return the values as text, for example {@code run=1 pages_to_scan=5000}} */
    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        values.forEach((setting, value) -> text.append(text.isEmpty() ? "" : " ")
                .append(setting.file())
                .append('=')
                .append(setting.textOf(value)));
        return text.toString();
    }
}
