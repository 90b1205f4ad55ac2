package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@Aside
class ChildJvmTest {

    @Test
    void allThreadsOfAJvmThatHangsAreReported(@TempDir Path folder) throws Exception {
        try (RunningJvm jvm = RunningJvm.start(Hanging.class)) {
            jvm.awaitLine("ready");

            assertThat(ChildJvm.threads(jvm.pid(), folder.resolve("threads")))
                    .contains("\"main\" #", Hanging.class.getName() + ".hang(");
        }
    }

    /** Has a virtual thread that waits for ever. */
    static final class Hanging {

        private Hanging() {}

        public static void main(String[] arguments) throws Exception {
            try (ExecutorService virtual = Executors.newVirtualThreadPerTaskExecutor()) {
                virtual.submit(Hanging::hang).get();
            }
        }

        private static Void hang() throws InterruptedException {
            System.out.println("ready");
            new CountDownLatch(1).await();
            throw new AssertionError();
        }
    }
}
