// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import io.ksm4j.Ksm;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A region that was not closed is reclaimed and reported once; a closed region is not reported. */
@Aside
@EnabledIfKsm
class LeakReportTest {

    @ParameterizedTest
    @CsvSource({"ffm, true", "jna, false", "jnr, true"})
    void forgottenRegionsAreReclaimedAndReportedOnce(String backend, boolean trackLeaks) {
        List<String> arguments = List.of(
                "-XX:+UseSerialGC",
                "-D" + Ksm.BACKEND_PROPERTY + "=" + backend,
                "-D" + Ksm.TRACK_LEAKS_PROPERTY + "=" + trackLeaks);
        ChildJvm.run(LeakReports.class, arguments).assertEndedWell();
    }
}
