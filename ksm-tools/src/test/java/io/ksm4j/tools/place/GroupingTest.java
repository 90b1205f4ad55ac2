// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GroupingTest {

    /** With few hosts, a class has a count for each of them. */
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 9, 30})
    void numbersAreThoseOfTheMembers(int hosts) {
        Instance instance = Instance.random(hosts, 12).withHosts(hosts);
        Grouping grouping = new Grouping(instance.task(10_000));
        SplittableRandom steps = new SplittableRandom(hosts);
        for (int step = 0; step < 200; step++) {
            int process = steps.nextInt(12);
            if (grouping.hostOf(process) == Grouping.NOWHERE) {
                grouping.add(process, steps.nextInt(hosts));
            } else {
                grouping.remove(process);
            }
            int[] hostOf = grouping.hosts();
            assertThat(grouping.shared()).isCloseTo(instance.shared(hostOf), within(1e-6));
            for (int host = 0; host < hosts; host++) {
                List<int[]> others = pagesOn(instance, hostOf, host, process);
                int before = Instance.shared(others);
                others.add(instance.pages().get(process));
                assertThat(grouping.common(process, host)).isCloseTo(Instance.shared(others) - before, within(1e-6));
            }
        }
        IntStream.range(0, 12)
                .filter(process -> grouping.hostOf(process) == Grouping.NOWHERE)
                .forEach(process -> grouping.add(process, steps.nextInt(hosts)));
        assertSwapsGainWhatTheySay(instance, grouping);
    }

    private static List<int[]> pagesOn(Instance instance, int[] hostOf, int host, int except) {
        List<int[]> pages = new ArrayList<>();
        for (int process = 0; process < hostOf.length; process++) {
            if (hostOf[process] == host && process != except) {
                pages.add(instance.pages().get(process));
            }
        }
        return pages;
    }

    private static void assertSwapsGainWhatTheySay(Instance instance, Grouping grouping) {
        int[] hostOf = grouping.hosts();
        for (int one = 0; one < hostOf.length; one++) {
            for (int other = 0; other < hostOf.length; other++) {
                if (hostOf[one] != hostOf[other]) {
                    int[] swapped = hostOf.clone();
                    swapped[one] = hostOf[other];
                    swapped[other] = hostOf[one];
                    assertThat(grouping.gainOfSwap(one, other))
                            .isCloseTo(instance.shared(swapped) - instance.shared(hostOf), within(1e-6))
                            .isLessThanOrEqualTo(grouping.maxGainOfSwap(one, other) + 1e-6);
                }
            }
        }
    }
}
