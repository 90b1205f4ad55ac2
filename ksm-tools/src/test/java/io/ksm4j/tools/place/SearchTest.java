// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Compares what is found with the best of all groupings. */
class SearchTest {

    private static final int EVERYTHING = 10_000;

    private static int found(Instance instance, Optional<int[]> hostOf) {
        return hostOf.map(hosts -> {
                    assertThat(instance.isAllowed(hosts)).as("%s", instance).isTrue();
                    return instance.shared(hosts);
                })
                .orElse(-1);
    }

    private static void forEachInstance(int processes, int instances, Function<Instance, Integer> check) {
        int possible = 0;
        for (int seed = 0; seed < instances; seed++) {
            possible += check.apply(Instance.random(seed * 100L + processes, processes));
        }
        assertThat(possible).as("instances that have a solution").isGreaterThan(instances / 3);
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8, 9, 10})
    void fewProcessesAreGroupedInTheBestWay(int processes) {
        forEachInstance(processes, processes < 9 ? 40 : 8, instance -> {
            int optimum = instance.optimum();
            assertThat(found(instance, ExactSearch.best(instance.task(EVERYTHING))))
                    .as("%s", instance)
                    .isEqualTo(optimum);
            return optimum < 0 ? 0 : 1;
        });
    }

    /** It is for more processes, whose optimum is unknown. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4, 5, 6, 7, 8, 9, 10})
    void localSearchIsCloseToTheBest(int processes) {
        forEachInstance(processes, processes < 9 ? 40 : 8, instance -> {
            int optimum = instance.optimum();
            int found = found(instance, LocalSearch.best(instance.task(EVERYTHING)));
            assertThat(found).as("%s", instance).isLessThanOrEqualTo(optimum);
            if (found >= 0) {
                assertThat((double) found).as("%s", instance).isGreaterThanOrEqualTo(0.9 * optimum);
            }
            return found < 0 ? 0 : 1;
        });
    }

    /** The samples have a fifth to a half of the contents. */
    @ParameterizedTest
    @ValueSource(ints = {4, 6})
    void samplesAreEnough(int processes) {
        for (int seed = 0; seed < 20; seed++) {
            // A limit after merging depends on the sample, too, so that the optimum may be just outside of it.
            Instance instance = Instance.random(seed, processes, 10).withoutOvercommit();

            int found = found(instance, ExactSearch.best(instance.task(2000)));

            assertThat((double) found).as("seed %d", seed).isGreaterThanOrEqualTo(0.9 * instance.optimum());
        }
    }

    @Test
    void manyProcessesOfFourServicesAreGroupedByService() {
        List<int[]> pages = new ArrayList<>();
        for (int process = 0; process < 40; process++) {
            int service = process % 4;
            int own = 10_000 + process * 100;
            pages.add(IntStream.concat(
                            IntStream.range(service * 1000, service * 1000 + 200), IntStream.range(own, own + 50))
                    .toArray());
        }
        Instance instance = new Instance(pages, 8, 5 * 250, false, new int[40], new int[] {40});

        // Five processes of a service on each host.
        assertThat(found(instance, LocalSearch.best(instance.task(EVERYTHING)))).isEqualTo(8 * 4 * 200);
    }

    @Test
    void noGroupingIsFoundIfNoneFits() {
        Instance instance = new Instance(
                List.of(new int[] {1, 2}, new int[] {3, 4}, new int[] {5, 6}), 2, 3, false, new int[3], new int[] {3});

        assertThat(ExactSearch.best(instance.task(EVERYTHING))).isEmpty();
        assertThat(LocalSearch.best(instance.task(EVERYTHING))).isEmpty();
    }
}
