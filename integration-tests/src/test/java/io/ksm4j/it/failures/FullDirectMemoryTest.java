package io.ksm4j.it.failures;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Nothing that ksm4j does takes the direct memory that {@code -XX:MaxDirectMemorySize} bounds. */
@Aside
@EnabledIfKsm
class FullDirectMemoryTest {

    @Test
    void everyCallWorksWhereDirectMemoryIsUsedUp() {
        ChildJvm.run(FullDirectMemory.class, List.of("-Xmx256m", "-XX:MaxDirectMemorySize=1m"))
                .assertEndedWell();
    }
}
