package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class RehearsalTest {

    @Test
    void goesAllTheWaysAndLeavesNothing() {
        PageModel kernel = new PageModel();
        MergeRegistry registry = MergeRegistry.system();
        long open = registry.openRegions();
        new Rehearsal(new Kernel(kernel)).work();
        assertThat(kernel.mapped.isEmpty()).isTrue();
        assertThat(kernel.mergeable.isEmpty()).isTrue();
        assertThat(registry.openRegions()).isEqualTo(open);
    }
}
