package io.ksm4j.tools;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.File;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class TargetJvmTest {

    private static final long SELF = ProcessHandle.current().pid();

    /** A signal would reach its process, which does not know what for, and prints its stacks. */
    @Test
    void aThreadOfAJvmIsNotTakenForOne() {
        long thread = Arrays.stream(new File("/proc/self/task").list())
                .mapToLong(Long::parseLong)
                .filter(id -> id != SELF)
                .findFirst()
                .orElseThrow();

        assertThatThrownBy(() -> TargetJvm.attach(thread))
                .isInstanceOf(CommandFailedException.class)
                .hasMessage(thread + " is a thread of process " + SELF + ": name that");
    }
}
