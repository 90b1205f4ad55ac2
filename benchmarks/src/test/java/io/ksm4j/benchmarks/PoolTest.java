package io.ksm4j.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The benchmark runs; what it measures in an instant means little. */
@EnabledIfKsm(control = true)
class PoolTest {

    @Test
    void timeAndMemoryAreMeasured() throws Exception {
        try (RunningKsmd ksmd = RunningKsmd.start()) {
            Pool pool = new Pool(ksmd);
            assertThat(pool.time(1, 10)).containsPattern("target pool.allocate-and-free-us measured \\S+ goal 2.0 ");
            assertThat(pool.memory(List.of(65536), List.of(1, 4)))
                    .containsPattern("(?m)^\\| 65536 \\| 1.00 \\| 1.0\\d \\| 0.2\\d \\|$");
        }
    }
}
