// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.ksm4j.tools.sketch.Samples;
import io.ksm4j.tools.sketch.Sketch;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;

class PairsTest {

    private static Sharing sharing(Instance instance, long maxMembers) {
        return new Sharing(
                instance.pages().stream()
                        .map(pages -> Samples.sketch(10_000, "group", pages))
                        .map(Sketch::sample)
                        .toList(),
                maxMembers);
    }

    private static List<Pairs.Pair> all(Instance instance) {
        List<Pairs.Pair> all = new ArrayList<>();
        for (int one = 0; one < instance.pages().size(); one++) {
            for (int other = one + 1; other < instance.pages().size(); other++) {
                List<int[]> both =
                        List.of(instance.pages().get(one), instance.pages().get(other));
                all.add(new Pairs.Pair(one, other, Instance.shared(both)));
            }
        }
        all.removeIf(pair -> pair.common() == 0);
        all.sort(Comparator.comparingDouble(pair -> -pair.common()));
        return all;
    }

    @Test
    void pairsAreThoseThatHaveMostInCommon() {
        Instance instance = Instance.random(5, 30);

        List<Pairs.Pair> all = all(instance);
        assertThat(Pairs.most(sharing(instance, 1_000_000), 1000)).containsExactlyInAnyOrderElementsOf(all);
        assertThat(Pairs.most(sharing(instance, 1_000_000), 10))
                .extracting(Pairs.Pair::common)
                .containsExactlyElementsOf(
                        all.subList(0, 10).stream().map(Pairs.Pair::common).toList());
    }

    @Test
    void classesAreSampledIfThereAreTooMany() {
        Instance instance = Instance.random(5, 30);
        Sharing complete = sharing(instance, 1_000_000);

        Sharing sampled = sharing(instance, complete.size() / 2);

        assertThat(sampled.size()).isLessThanOrEqualTo(complete.size() / 2);
        for (int process = 0; process < 30; process++) {
            assertThat(sampled.weightOf(process))
                    .isCloseTo(complete.weightOf(process), within(0.3 * complete.weightOf(process) + 20));
        }
    }
}
