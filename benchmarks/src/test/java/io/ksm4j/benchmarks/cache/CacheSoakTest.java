// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.ksm4j.benchmarks.cache.SoakValues.WrongValueException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Runs the soak test for some seconds, and checks that it would detect wrong values. */
class CacheSoakTest {

    private final SoakValues values = new SoakValues();

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void readsReturnWrittenValuesWhileEverythingIsShort(RunningKsmd ksmd) throws Exception {
        CacheSoak.Result result = new CacheSoak().run(Duration.ofSeconds(20));
        assertThat(result.stored()).isPositive();
        assertThat(result.read()).isPositive();
        assertThat(result.hungUp()).isPositive();
        assertThat(result.shortages()).isPositive();
        assertThat(result.disconnected()).isPositive();
        assertThat(result.expired()).isPositive();
        assertThat(result.evicted()).isPositive();
        assertThat(result.maxMerged()).isPositive();
    }

    @Test
    void valueContainsItsVersion() {
        assertThat(values.version(7, values.value(7, 123, 5000))).isEqualTo(123);
        assertThat(values.version(7, values.value(7, 123, 16))).isEqualTo(123);
    }

    @Test
    void detectsAValueThatDiffersInOneByte() {
        for (int at : new int[] {0, 11, 12, 16, 4095, 4096, 4999}) {
            byte[] value = values.value(7, 123, 5000);
            value[at] ^= 1;
            assertThatExceptionOfType(WrongValueException.class)
                    .as("byte %d", at)
                    .isThrownBy(() -> values.version(7, value));
        }
        assertThatExceptionOfType(WrongValueException.class)
                .isThrownBy(() -> values.version(8, values.value(7, 123, 5000)));
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> values.version(7, new byte[15]));
    }

    @Test
    void detectsVersionsOlderThanTheLastAnswerOrNewerThanTheLastRequest() {
        SoakKey key = new SoakKey();
        key.answered(key.send());
        long oldest = key.oldest();
        key.answered(key.send());
        assertThatCode(() -> key.check(oldest, 1)).doesNotThrowAnyException();
        assertThatCode(() -> key.check(oldest, 2)).doesNotThrowAnyException();
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(key.oldest(), 1));
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(oldest, 3));
    }

    @Test
    void detectsExpiredValues() {
        SoakKey key = new SoakKey();
        key.answered(key.send());
        key.expiresIn(60_000);
        assertThat(key.oldest()).isEqualTo(1);
        key.expiresIn(-60_000);
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(key.oldest(), 1));
    }

    @Test
    void acceptsValuesWhoseDeadlineMayHaveBeenPutOff() {
        SoakKey key = new SoakKey();
        key.answered(key.send());
        key.expiresIn(-60_000);
        key.sendDeadline();
        assertThatCode(() -> key.check(key.oldest(), 1)).doesNotThrowAnyException();
        key.expiresIn(-60_000);
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(key.oldest(), 1));
    }
}
