package io.ksm4j.control;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import java.util.OptionalLong;

/**
 * Values for some of the settings of {@code ksmd}, each in its range. Immutable.
 *
 * <pre>{@code
 * KsmSettings fast = KsmSettings.EMPTY
 *         .with(KsmSetting.PAGES_TO_SCAN, 5000)
 *         .with(KsmSetting.SLEEP_MILLISECS, 20)
 *         .with(KsmSetting.RUN, 1);
 * }</pre>
 */
public final class KsmSettings {

    /** No setting. */
    public static final KsmSettings EMPTY = new KsmSettings(Map.of());

    private final Map<KsmSetting, Long> values;

    private KsmSettings(Map<KsmSetting, Long> values) {
        Map<KsmSetting, Long> copy = new EnumMap<>(KsmSetting.class);
        copy.putAll(values);
        this.values = Collections.unmodifiableMap(copy);
    }

    /**
     * These and one more.
     *
     * @param setting a setting; if it has a value here, that is replaced
     * @param value its value
     * @return a copy
     * @throws IllegalArgumentException if the value is not in the setting's range
     */
    public KsmSettings with(KsmSetting setting, long value) {
        setting.require(value);
        return having(setting, value);
    }

    /** These and what a file holds, be it in the range or not. */
    KsmSettings having(KsmSetting setting, long value) {
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
     * These and others.
     *
     * @param others settings; their values replace those here
     * @return a copy
     */
    public KsmSettings with(KsmSettings others) {
        Map<KsmSetting, Long> more = new EnumMap<>(KsmSetting.class);
        more.putAll(values);
        more.putAll(others.values);
        return new KsmSettings(more);
    }

    /**
     * Those of these settings that others have, too: with {@link KsmDaemon#settings()}, those that this kernel has.
     *
     * @param others settings, whatever their values
     * @return a copy without the rest
     */
    public KsmSettings presentIn(KsmSettings others) {
        Map<KsmSetting, Long> present = new EnumMap<>(KsmSetting.class);
        present.putAll(values);
        present.keySet().retainAll(others.values.keySet());
        return new KsmSettings(present);
    }

    /**
     * The value of a setting.
     *
     * @param setting any setting
     * @return empty if it has none here
     */
    public OptionalLong get(KsmSetting setting) {
        Long value = values.get(setting);
        return value == null ? OptionalLong.empty() : OptionalLong.of(value);
    }

    /**
     * All values, in the order in which {@link KsmSetting} names the settings.
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

    /** For example {@code run=1 pages_to_scan=5000}. */
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
