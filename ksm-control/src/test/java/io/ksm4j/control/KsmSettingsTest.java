// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;

@Tag("more")
class KsmSettingsTest {

    @Property
    void acceptsValuesInRangeAndRefusesOthers(@ForAll KsmSetting setting, @ForAll long value) {
        if (value >= setting.min() && value <= setting.max()) {
            assertThat(KsmSettings.EMPTY.with(setting, value).get(setting)).hasValue(value);
        } else {
            assertThatThrownBy(() -> KsmSettings.EMPTY.with(setting, value))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(setting.file())
                    .hasMessageContaining(Long.toString(value))
                    .hasMessageContaining(setting.min() + " to " + setting.max());
        }
    }

    @Example
    void acceptsTheEndsOfEveryRange() {
        for (KsmSetting setting : KsmSetting.values()) {
            assertThat(KsmSettings.EMPTY.with(setting, setting.min()).values()).containsEntry(setting, setting.min());
            assertThat(KsmSettings.EMPTY.with(setting, setting.max()).values()).containsEntry(setting, setting.max());
            for (long outside : new long[] {setting.min() - 1, setting.max() + 1}) {
                assertThatThrownBy(() -> KsmSettings.EMPTY.with(setting, outside))
                        .isInstanceOf(IllegalArgumentException.class);
            }
        }
    }

    @Property
    void parsesTheTextThatItWrites(@ForAll KsmSetting setting, @ForAll boolean max) {
        long value = max ? setting.max() : setting.min();
        String text = setting.textOf(value);
        String inFile = setting == KsmSetting.ADVISOR_MODE ? "none scan-time".replace(text, "[" + text + "]") : text;
        assertThat(setting.parse(inFile)).isEqualTo(value);
        assertThat(KsmSetting.ofFile(setting.file())).hasValue(setting);
    }

    @Example
    void laterValuesReplaceEarlierOnes() {
        KsmSettings one = KsmSettings.EMPTY.with(KsmSetting.RUN, 0).with(KsmSetting.SLEEP_MILLISECS, 7);
        KsmSettings other =
                KsmSettings.EMPTY.with(KsmSetting.RUN, 1).with(KsmSetting.ADVISOR_MODE, KsmSetting.SCAN_TIME);
        assertThat(one.with(other).values())
                .isEqualTo(Map.of(KsmSetting.RUN, 1L, KsmSetting.SLEEP_MILLISECS, 7L, KsmSetting.ADVISOR_MODE, 1L));
        assertThat(one.with(other)).hasToString("run=1 sleep_millisecs=7 advisor_mode=scan-time");
        assertThat(one.get(KsmSetting.PAGES_TO_SCAN)).isEmpty();
        assertThat(one).isNotEqualTo(other).isEqualTo(other.with(one).without(KsmSetting.ADVISOR_MODE));
        assertThat(one.presentIn(other)).isEqualTo(KsmSettings.EMPTY.with(KsmSetting.RUN, 0));
        assertThat(KsmSetting.ofFile("pages_shared")).isEmpty();
    }
}
