package io.ksm4j.it;

import java.io.IOException;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.condition.EnabledIf;

/** Skips what only root may do: become another user, unshare namespaces, read others' memory or {@code /proc/kpageflags}. */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@EnabledIf(value = "io.ksm4j.it.EnabledIfRoot$User#isRoot", disabledReason = "takes root")
@interface EnabledIfRoot {

    /** Who runs the tests. */
    final class User {

        private User() {}

        static boolean isRoot() throws IOException {
            return Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0);
        }
    }
}
