package io.ksm4j.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.ksm4j.benchmarks.SoakValues.WrongValueException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The cache server holds what it is given for some seconds, and the soak would see it if it did not. */
class SoakTest {

    private final SoakValues values = new SoakValues();

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void whatIsReadIsWhatWasWrittenWhileKeysGoAndPagesMerge(RunningKsmd ksmd) throws Exception {
        Soak.Result result = new Soak().run(Duration.ofSeconds(20));
        assertThat(result.stored()).isPositive();
        assertThat(result.read()).isPositive();
        assertThat(result.hungUp()).isPositive();
        assertThat(result.expired()).isPositive();
        assertThat(result.evicted()).isPositive();
        assertThat(result.mostMerged()).isPositive();
    }

    @Test
    void aValueTellsItsVersion() {
        assertThat(values.version(7, values.value(7, 123, 5000))).isEqualTo(123);
        assertThat(values.version(7, values.value(7, 123, 16))).isEqualTo(123);
    }

    @Test
    void aValueThatDiffersInOneByteIsSeen() {
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
    void whatIsOlderThanTheLastAnswerOrNewerThanWhatWasSentIsSeen() {
        SoakKey key = new SoakKey();
        key.made(key.send());
        long oldest = key.oldest();
        key.made(key.send());
        assertThatCode(() -> key.check(oldest, 1)).doesNotThrowAnyException();
        assertThatCode(() -> key.check(oldest, 2)).doesNotThrowAnyException();
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(key.oldest(), 1));
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(oldest, 3));
    }

    @Test
    void whatIsReadAfterItsTimeIsSeen() {
        SoakKey key = new SoakKey();
        key.made(key.send());
        key.expiresIn(60_000);
        assertThat(key.oldest()).isEqualTo(1);
        key.expiresIn(-60_000);
        assertThatExceptionOfType(WrongValueException.class).isThrownBy(() -> key.check(key.oldest(), 1));
    }
}
