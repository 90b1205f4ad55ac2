// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class LatenciesTest {

    @Test
    void aPercentileIsTheTimeWithinWhichThatManyHaveEnded() {
        List<Long> nanos = new ArrayList<>(
                LongStream.rangeClosed(1, 200).map(i -> i * 1_000_000).boxed().toList());
        Collections.shuffle(nanos);
        Latencies latencies = new Latencies(nanos);

        assertThat(latencies.percentile(50)).isEqualTo(100);
        assertThat(latencies.percentile(99)).isEqualTo(198);
        assertThat(latencies.percentile(100)).isEqualTo(200);
    }

    @Test
    void aSingleTimeIsEveryPercentile() {
        Latencies latencies = new Latencies(List.of(1_500_000L));

        assertThat(latencies.percentile(1)).isEqualTo(1.5);
        assertThat(latencies.percentile(99)).isEqualTo(1.5);
    }
}
