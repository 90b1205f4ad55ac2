// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MergeWaitTest {

    @ParameterizedTest
    @ValueSource(longs = {1, 100, 1_000, 20_000})
    void spendsAtMostATenthOfTheTimeReading(long millis) {
        long look = Duration.ofMillis(millis).toNanos();
        assertThat(look * 10).isLessThanOrEqualTo(look + MergeWait.pauseNanos(look));
    }
}
