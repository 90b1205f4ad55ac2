// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import java.util.List;
import org.junit.jupiter.api.Test;

/** ksm4j needs no direct memory that counts against {@code -XX:MaxDirectMemorySize}. */
@Aside
@EnabledIfKsm
class FullDirectMemoryTest {

    @Test
    void everyCallWorksWhereDirectMemoryIsUsedUp() {
        ChildJvm.run(FullDirectMemory.class, List.of("-Xmx256m", "-XX:MaxDirectMemorySize=1m"))
                .assertEndedWell();
    }
}
